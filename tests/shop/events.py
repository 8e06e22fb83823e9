"""Events of one request: its steps with times, levels and values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from shop.steps import STEPS, Step

# Spread of a usual duration around its median: 99.9 % lie below four times the median.
_SPREAD = 0.45
# Now and then a step is much slower, as under a collection of garbage: this share of the steps …
_SLOW_SHARE = 0.01
# … takes up to so many times longer. A fault of factor 50 must stay beyond it.
_SLOWEST = 6.0

ENUMS: Mapping[str, Mapping[str, float]] = {
    "currency": {"EUR": 0.7, "USD": 0.2, "GBP": 0.1},
    "provider": {"visa": 0.5, "mastercard": 0.3, "paypal": 0.2},
    "carrier": {"dhl": 0.5, "ups": 0.3, "gls": 0.2},
    "warehouse": {"north": 0.5, "south": 0.3, "harbour": 0.2},
    "channel": {"sms": 0.6, "app": 0.4},
    "region": {"eu-west": 0.6, "eu-north": 0.3, "us-east": 0.1},
    "model": {"v3": 0.8, "v4": 0.2},
}
_COUPONS = ("SPRING10", "WELCOME5", "FRIENDS15", "VIP20", "SORRY5", "BIRTHDAY10")
_WORDS = ("lamp", "chair", "desk", "mug", "shelf", "rug", "vase", "clock", "plant", "mirror")


@dataclass(frozen=True, slots=True)
class Event:
    """One record of a request. `gap_ms` is the time since the request's record before."""

    step: Step
    name: str
    level: str
    gap_ms: int
    values: Mapping[str, Any]

    def with_values(self, **values: Any) -> Event:
        """The same event with other values."""
        return replace(self, values={**self.values, **values})


def draw_events(rng: Random, course: Sequence[str]) -> list[Event]:
    """A normal run of a course, with values that belong together."""
    context = draw_context(rng)
    events = [draw_event(rng, name, STEPS[name], context) for name in course]
    _count_attempts(events)
    if events:
        events[0] = replace(events[0], gap_ms=0)
    return events


def draw_context(rng: Random) -> dict[str, Any]:
    """What stays the same throughout a request: who ordered what, and how it is paid."""
    context: dict[str, Any] = {
        "user": rng.randrange(1_000, 60_000),
        "order": rng.randrange(100_000, 10_000_000),
        "items": min(9, 1 + int(rng.expovariate(0.6))),
        "amount": _skewed(rng, 40, 0.8, 1.0, 2_000.0),
        "coupon": rng.choice(_COUPONS),
        "query": f"{rng.choice(_WORDS)}-{rng.randrange(1, 400)}",
    }
    for name, shares in ENUMS.items():
        context[name] = rng.choices(list(shares), list(shares.values()))[0]
    return context


def draw_event(rng: Random, name: str, step: Step, context: Mapping[str, Any]) -> Event:
    """One usual record of a step, after a usual time."""
    gap_ms = _gap_ms(rng, step)
    values: dict[str, Any] = {}
    for field in step.fields:
        values[field] = _value(rng, field, step, gap_ms, context)
    if step.status is not None and "status" not in values:
        values["status"] = _value(rng, "status", step, gap_ms, context)
    return Event(step, name, step.level, gap_ms, values)


def _value(rng: Random, field: str, step: Step, gap_ms: int, context: Mapping[str, Any]) -> Any:
    if field in context:
        return context[field]
    if field == "method":
        return str(step.method)
    if field == "route":
        return str(step.route)
    if field == "status":
        assert step.status
        return rng.choices(list(step.status), list(step.status.values()))[0]
    if field == "duration_ms":
        return gap_ms
    if field == "retry":
        return 1
    if field == "bytes":
        return int(_skewed(rng, 8_000, 0.6, 200, 200_000))
    if field == "rows":
        return int(_skewed(rng, 5_000, 0.6, 100, 100_000))
    if field == "hits":
        return int(_skewed(rng, 40, 0.9, 1, 1_000))
    assert field == "partition", f"BUG: no value for {field}"
    return rng.randrange(64)


def _count_attempts(events: list[Event]) -> None:
    """Number the attempts within a request; a retried step has the number of its own attempt."""
    attempt = 0
    for number, event in enumerate(events):
        if "retry" not in event.values:
            continue
        if event.name != "payment.retried":
            attempt += 1
        events[number] = event.with_values(retry=attempt)


def _gap_ms(rng: Random, step: Step) -> int:
    if step.think is not None:
        return round(1000 * rng.uniform(*step.think))
    factor = math.exp(rng.gauss(0, _SPREAD))
    if rng.random() < _SLOW_SHARE:
        factor *= rng.uniform(1, _SLOWEST)
    # Clocks count milliseconds, and two records of a request never share one.
    return max(1, round(step.ms * factor))


def _skewed(rng: Random, median: float, spread: float, least: float, most: float) -> float:
    """A log-normal value within bounds, with two decimals."""
    return round(min(most, max(least, median * math.exp(rng.gauss(0, spread)))), 2)
