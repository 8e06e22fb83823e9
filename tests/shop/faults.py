"""What goes wrong in a request: each kind changes one thing at a known place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random

from shop.events import ENUMS, Event, draw_context, draw_event
from shop.steps import STEPS, WORKFLOWS, steps_of

# Draws of a place in one host before another host is drawn.
_TRIES = 20
# A shorter request has no room for a step that moves.
_SHORTEST = 5
# A slow step takes this many times its own duration.
SLOW_FACTOR = 50
PAUSE_MS = 3_600_000
_SERVER_ERRORS = (500, 502, 503, 504)
# A value that a counter or an amount never has: far beyond the bounds in `events.py`.
_HUGE = {"amount": 4_000_000.0, "items": 250_000, "bytes": 8 * 10**12, "rows": 10**11}
_UNKNOWN = {
    "currency": "XXX",
    "provider": "barter",
    "carrier": "pigeon",
    "warehouse": "moon",
    "channel": "telegraph",
    "region": "atlantis",
    "model": "v0-test",
    "method": "FETCH",
}
assert set(_UNKNOWN) > set(ENUMS)


Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Damage:
    """A damaged request: its events, and the places `[first, last)` in them, in order.

    A gap before event g is `(g, g)`. `detail` says in words what was changed.
    """

    events: list[Event]
    places: tuple[Place, ...]
    detail: str


# Each returns None where the drawn place does not suit.
Inject = Callable[[Random, list[Event], str], Damage | None]


def _skip(rng: Random, host: list[Event], workflow: str) -> Damage | None:
    at = rng.randrange(1, len(host) - 1)
    # Equal neighbours: which of them was left out cannot be told.
    rest = [*host[:at], *host[at + 1 :]]
    return Damage(rest, (_widened(rest, (at, at), host[at].name),), host[at].name)


def _rework(rng: Random, host: list[Event], workflow: str) -> Damage | None:
    """A step is done again, at once or after up to two others."""
    done = rng.randrange(1, len(host) - 1)
    at = min(len(host), done + rng.randrange(1, 4))
    return _with(host, at, replace(host[done], gap_ms=max(1, host[done].gap_ms)))


def _insert(rng: Random, host: list[Event], workflow: str) -> Damage | None:
    """A step of the same workflow at a place where it does not belong."""
    return _with(
        host, rng.randrange(1, len(host)), _drawn(rng, rng.choice(steps_of(workflow)), host)
    )


def _foreign(rng: Random, host: list[Event], workflow: str) -> Damage | None:
    """A step that only another workflow has."""
    others = [name for name in sorted(STEPS) if name not in steps_of(workflow)]
    return _with(host, rng.randrange(1, len(host)), _drawn(rng, rng.choice(others), host))


def _early(rng: Random, host: list[Event], workflow: str) -> Damage | None:
    at = rng.randrange(3, len(host))
    return _moved(host, at, rng.randrange(1, at - 1))


def _late(rng: Random, host: list[Event], workflow: str) -> Damage | None:
    at = rng.randrange(1, len(host) - 2)
    return _moved(host, at, rng.randrange(at + 2, len(host)))


def _swap(rng: Random, host: list[Event], workflow: str) -> Damage | None:
    at = rng.randrange(1, len(host) - 1)
    order = [*host[:at], host[at + 1], host[at], *host[at + 2 :]]
    names = f"{host[at].name} {host[at + 1].name}"
    return Damage(_in_slots(host, order), ((at, at + 2),), names)


def _reverse(rng: Random, host: list[Event], workflow: str) -> Damage | None:
    return Damage(_in_slots(host, host[::-1]), ((0, len(host)),), "whole request")


def _truncated(rng: Random, host: list[Event], workflow: str) -> Damage | None:
    """The log of the request breaks off where nothing is awaited."""
    end = rng.randrange(2, len(host))
    if host[end - 1].step.waits:
        return None
    return Damage(host[:end], ((end, end),), f"after {host[end - 1].name}")


def _stuck(rng: Random, host: list[Event], workflow: str) -> Damage | None:
    """Another service never answers, and the request never ends."""
    waiting = [number for number, event in enumerate(host) if event.step.waits]
    if not waiting:
        return None
    end = rng.choice(waiting) + 1
    return Damage(host[:end], ((end, end),), f"after {host[end - 1].name}")


def _status(rng: Random, host: list[Event], workflow: str) -> Damage | None:
    """A 5xx at a step that never has one; its text and level stay."""
    suited = [
        number
        for number, event in enumerate(host)
        if event.step.status and not any(code >= 500 for code in event.step.status)
    ]
    if not suited:
        return None
    at = rng.choice(suited)
    code = rng.choice(_SERVER_ERRORS)
    return _replaced(host, at, host[at].with_values(status=code), f"status {code}")


def _value(rng: Random, host: list[Event], workflow: str) -> Damage | None:
    """A number that is zero or huge, or a word that no list has."""
    at = rng.randrange(len(host))
    fields = [name for name in host[at].values if name in _HUGE or name in _UNKNOWN]
    if not fields:
        return None
    field = rng.choice(fields)
    if field in _UNKNOWN:
        value: object = _UNKNOWN[field]
    else:
        value = rng.choice((0, _HUGE[field]))
    return _replaced(host, at, host[at].with_values(**{field: value}), f"{field} {value}")


def _slow(rng: Random, host: list[Event], workflow: str) -> Damage | None:
    at = rng.randrange(1, len(host))
    event = host[at]
    if event.step.think is not None:
        return None
    slow = replace(event, gap_ms=SLOW_FACTOR * event.gap_ms)
    if "duration_ms" in event.values:
        slow = slow.with_values(duration_ms=SLOW_FACTOR * event.values["duration_ms"])
    return _replaced(host, at, slow, f"{slow.gap_ms} ms")


def _pause(rng: Random, host: list[Event], workflow: str) -> Damage | None:
    at = rng.randrange(1, len(host))
    return _replaced(host, at, replace(host[at], gap_ms=host[at].gap_ms + PAUSE_MS), "1 h")


def _level(rng: Random, host: list[Event], workflow: str) -> Damage | None:
    at = rng.randrange(len(host))
    level = rng.choice(("ERROR", "FATAL"))
    return _replaced(host, at, replace(host[at], level=level), f"{host[at].level} {level}")


FAULTS: Mapping[str, Inject] = {
    "skip": _skip,
    "rework": _rework,
    "insert": _insert,
    "early": _early,
    "late": _late,
    "swap": _swap,
    "reverse": _reverse,
    "truncated": _truncated,
    "foreign": _foreign,
    "status": _status,
    "value": _value,
    "slow": _slow,
    "pause": _pause,
    "level": _level,
    "stuck": _stuck,
}
# Kinds that leave the course as it was.
SAME_COURSE = ("status", "value", "slow", "pause", "level")
assert set(SAME_COURSE) < set(FAULTS)
assert set(WORKFLOWS) == {"checkout", "search", "login", "refund", "batch"}


def inject(
    rng: Random,
    kind: str,
    host: Sequence[Event],
    workflow: str,
    is_fault: Callable[[str, Damage], bool],
) -> Damage | None:
    """One fault in a host, or None where the host has no place for it.

    A changed course that happens to be normal is not a fault, so another place is drawn.
    """
    if kind not in SAME_COURSE and len(host) < _SHORTEST:
        return None
    for _ in range(_TRIES):
        damage = FAULTS[kind](rng, list(host), workflow)
        if damage is not None and is_fault(kind, damage):
            return damage
    return None


def _drawn(rng: Random, name: str, host: Sequence[Event]) -> Event:
    """A usual record of a step, about the same order and user as the host's."""
    context = draw_context(rng)
    for event in host:
        context |= {field: value for field, value in event.values.items() if field in context}
    return draw_event(rng, name, STEPS[name], context)


def _with(host: list[Event], at: int, event: Event) -> Damage:
    events = [*host[:at], event, *host[at:]]
    # Which of several equal neighbours was put in cannot be told.
    return Damage(events, (_widened(events, (at, at + 1), event.name),), event.name)


def _replaced(host: list[Event], at: int, event: Event, detail: str) -> Damage:
    return Damage([*host[:at], event, *host[at + 1 :]], ((at, at + 1),), f"{event.name} {detail}")


def _moved(host: list[Event], at: int, to: int) -> Damage:
    rest = [*host[:at], *host[at + 1 :]]
    order = [*rest[:to], host[at], *rest[to:]]
    # The step is too much where it stands now, and is missing where it stood before.
    gap = at
    if to < at:
        gap = at + 1
    places = tuple(sorted(((to, to + 1), (gap, gap))))
    return Damage(_in_slots(host, order), places, f"{host[at].name} from event {at} to {to}")


def _in_slots(host: Sequence[Event], order: Sequence[Event]) -> list[Event]:
    """Events in another order at the host's times, so that only the order differs."""
    return [replace(event, gap_ms=slot.gap_ms) for event, slot in zip(order, host, strict=True)]


def _widened(events: Sequence[Event], place: Place, name: str) -> Place:
    first, last = place
    while first > 0 and events[first - 1].name == name:
        first -= 1
    while last < len(events) and events[last].name == name:
        last += 1
    return first, last
