"""The traffic of the shop: when requests start, which have a fault, and what befalls the stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from shop.events import Event, draw_context, draw_event, draw_events
from shop.faults import FAULTS, SAME_COURSE, Damage, Place, inject
from shop.steps import STEPS, WORKFLOWS, Step, draw_course, is_normal

# Monday 2025-06-02 06:00 UTC: a seed gives the same stream on any day.
START_MS = 1_748_844_000_000
MINUTE_MS = 60_000
_DAY_MINUTES = 1440
# Requests per hour of the day (UTC), as a share of the busiest hour.
_LOAD = (
    *(0.20, 0.15, 0.12, 0.12, 0.15, 0.20, 0.35, 0.50),
    *(0.70, 0.85, 0.95, 1.00, 0.95, 0.90, 0.90, 0.90),
    *(0.90, 0.95, 1.00, 1.00, 0.90, 0.70, 0.45, 0.30),
)
# Share of requests that follow closely upon the one before, as a page makes several at once, …
_TOGETHER = 0.5
# … namely within so many milliseconds, so that their records interleave.
_CLOSELY_MS = 300
_MIX = {"checkout": 0.4, "search": 0.32, "login": 0.18, "refund": 0.1}
# The batch runs in these hours only, and is then this share of all executions.
_NIGHT = range(1, 4)
_NIGHT_SHARE = 0.3
# A burst of failures: this many checkouts are declined within five minutes.
BURST_SIZE = 80
BURST_MINUTES = 5
# No execution starts for so long.
SILENCE_MINUTES = 10
# The requests that all fail alike come within half an hour.
ALIKE_MINUTES = 30
# Between two such disturbances the stream is as usual for at least so long …
_APART_MINUTES = 30
# … and they come when the load is this share of the busiest hour's.
_BUSY = 0.9
STREAM_FAULTS = ("burst", "silence")

OLD_VERSION = "2.7.4"
NEW_VERSION = "2.8.0"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to simulate. `faults` maps a kind to a number of requests, or a stream fault to 1.

    `per_day` is the mean number of requests a day. `deploy_at` is a share of the whole time.
    """

    sessions: int
    seed: int
    per_day: int = 2_000
    faults: Mapping[str, int] = field(default_factory=dict)
    deploy_at: float | None = None
    alike: int = 0

    def __post_init__(self) -> None:
        for kind, count in self.faults.items():
            if kind not in FAULTS and kind not in STREAM_FAULTS:
                known = ", ".join([*FAULTS, *STREAM_FAULTS])
                raise ValueError(f"unknown kind of fault {kind!r}: use one of {known}")
            if kind in STREAM_FAULTS and count not in (0, 1):
                raise ValueError(f"{kind} must be 0 or 1, got {count}")
        if self.fault_count > self.sessions:
            raise ValueError(f"{self.fault_count} faults need as many sessions: {self.sessions}")

    @property
    def fault_count(self) -> int:
        """How many requests get a fault of their own."""
        return sum(n for kind, n in self.faults.items() if kind in FAULTS)


@dataclass(frozen=True, slots=True)
class Request:
    """One execution. `host` is how it would have run without its fault; `kind` is its label."""

    key: int
    workflow: str
    start_ms: int
    version: str
    events: tuple[Event, ...]
    host: tuple[Event, ...]
    kind: str = ""
    places: tuple[Place, ...] = ()
    detail: str = ""

    @property
    def times_ms(self) -> list[int]:
        """The time of each event, in ms since 1970."""
        times = []
        now = self.start_ms
        for event in self.events:
            now += event.gap_ms
            times.append(now)
        return times


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that befalls the stream as a whole."""

    kind: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True)
class Traffic:
    """All requests in the order of their starts, and the moments."""

    requests: list[Request]
    moments: list[Moment]


# --- a deploy -------------------------------------------------------------------------------------

# Five steps say the same in other words after a deploy …
RENAMED: Mapping[str, Step] = {
    "cart.loaded": replace(
        STEPS["cart.loaded"],
        event="basket.fetched",
        text="fetched basket of user {user}: {items} items",
    ),
    "order.created": replace(
        STEPS["order.created"],
        event="order.persisted",
        text="persisted order {order} containing {items} items",
    ),
    "hits.ranked": replace(
        STEPS["hits.ranked"], event="results.sorted", text="sorted {hits} results by model {model}"
    ),
    "session.stored": replace(
        STEPS["session.stored"],
        event="session.saved",
        text="saved {bytes} bytes as the session of user {user}",
    ),
    "ledger.booked": replace(
        STEPS["ledger.booked"],
        event="journal.posted",
        text="posted {amount} {currency} to the journal",
    ),
}


def _new(service: str, event: str, text: str) -> Step:
    return Step(service=service, event=event, text=text, ms=3)


# … and ten new ones follow these.
ADDED: Mapping[str, Step] = {
    "token.verified": _new("auth", "scopes.resolved", "scopes of user {user} resolved"),
    "basket.fetched": _new("cart", "basket.validated", "basket validated, {items} items in stock"),
    "stock.reserved": _new("inventory", "hold.expiry.set", "hold on order {order} expires"),
    "payment.captured": _new("payment", "receipt.signed", "receipt for order {order} signed"),
    "parcel.booked": _new("shipping", "label.printed", "label for {carrier} printed"),
    "results.sorted": _new("search", "results.trimmed", "kept {hits} results"),
    "cache.hit": _new("search", "cache.age.read", "cache entry of query {query} is fresh"),
    "user.loaded": _new("auth", "profile.merged", "profile of user {user} merged"),
    "order.loaded": _new("orders", "history.read", "history of order {order} read"),
    "return.paid": _new("payment", "return.signed", "return for order {order} signed"),
}


def _deployed(rng: Random, events: Sequence[Event]) -> list[Event]:
    """The same run as the new version writes it."""
    context = draw_context(rng)
    out = []
    for event in events:
        context |= {name: value for name, value in event.values.items() if name in context}
        step = RENAMED.get(event.name, event.step)
        out.append(replace(event, step=step))
        # The name of an added step begins with a plus sign; `_course` leaves it out.
        if added := ADDED.get(step.event):
            out.append(draw_event(rng, f"+{added.event}", added, context))
    return out


def _in_words_of(version: str, events: Sequence[Event]) -> list[Event]:
    """Events with a renamed step's new text, also where a fault put in the old one."""
    if version == OLD_VERSION:
        return list(events)
    return [replace(event, step=RENAMED.get(event.name, event.step)) for event in events]


def _course(events: Sequence[Event]) -> list[str]:
    return [event.name for event in events if not event.name.startswith("+")]


def _is_fault(kind: str, damage: Damage) -> bool:
    """Whether the damage shows to someone who knows all that is normal in the old version."""
    if kind not in SAME_COURSE:
        return not is_normal(_course(damage.events))
    [(at, _)] = damage.places
    return not damage.events[at].name.startswith("+")


# --- the stream -----------------------------------------------------------------------------------


def simulate(plan: Plan) -> Traffic:
    """The requests of a plan. The same plan gives the same traffic.

    Each request has a generator of its own, so that without faults a seed gives the same hosts.
    """
    rng = Random(f"shop {plan.seed}")
    minutes = max(60, round(_DAY_MINUTES * plan.sessions / plan.per_day))
    moments = _moments(plan, minutes)
    starts = _starts(rng, plan.sessions, minutes, moments)
    deploy_ms = next((m.start_ms for m in moments if m.kind == "deploy"), None)
    workflows = [_workflow(rng, start_ms) for start_ms in starts]
    kinds = _kinds(plan)
    requests = [
        _request(plan.seed, number, _Start(start_ms, workflow, _version(start_ms, deploy_ms)), kind)
        for number, (start_ms, workflow, kind) in enumerate(
            zip(starts, workflows, kinds, strict=True)
        )
    ]
    requests += _extra(plan, moments, deploy_ms)
    return Traffic(sorted(requests, key=lambda request: request.start_ms), moments)


def _moments(plan: Plan, minutes: int) -> list[Moment]:
    """Where the stream is disturbed: in busy hours, one after the other. Raises ValueError."""
    out = []
    lengths = {
        "burst": BURST_MINUTES * bool(plan.faults.get("burst")),
        "alike": ALIKE_MINUTES * bool(plan.alike),
        "silence": SILENCE_MINUTES * bool(plan.faults.get("silence")),
    }
    # The first part of the time is left for a detector to learn what is usual.
    minute = minutes // 3
    for kind, length in lengths.items():
        if not length:
            continue
        while _load(minute) < _BUSY:
            minute += 1
        if minute + length + _APART_MINUTES > minutes:
            raise ValueError(f"no busy hour is left for {kind}: simulate more sessions")
        start_ms = START_MS + minute * MINUTE_MS
        out.append(Moment(kind, start_ms, start_ms + length * MINUTE_MS))
        minute += length + _APART_MINUTES
    if plan.deploy_at is not None:
        start_ms = START_MS + round(plan.deploy_at * minutes) * MINUTE_MS
        out.append(Moment("deploy", start_ms, START_MS + minutes * MINUTE_MS))
    return out


def _load(minute: int) -> float:
    hour = (START_MS // (60 * MINUTE_MS) + minute // 60) % 24
    return _LOAD[hour]


def _starts(rng: Random, count: int, minutes: int, moments: Sequence[Moment]) -> list[int]:
    quiet = [m for m in moments if m.kind == "silence"]
    loads = []
    for minute in range(minutes):
        now_ms = START_MS + minute * MINUTE_MS
        is_quiet = any(m.start_ms <= now_ms < m.end_ms for m in quiet)
        loads.append(_load(minute) * (not is_quiet))
    at_minutes = rng.choices(range(minutes), loads, k=count)
    starts = sorted(
        START_MS + minute * MINUTE_MS + rng.randrange(MINUTE_MS) for minute in at_minutes
    )
    for number in range(1, count):
        if rng.random() < _TOGETHER:
            # At most to the end of the minute, or a silence would not be one.
            before_ms = starts[number - 1]
            last_ms = before_ms - before_ms % MINUTE_MS + MINUTE_MS - 1
            starts[number] = min(before_ms + rng.randrange(_CLOSELY_MS), last_ms)
    return sorted(starts)


def _workflow(rng: Random, start_ms: int) -> str:
    hour = start_ms // (60 * MINUTE_MS) % 24
    if hour in _NIGHT and rng.random() < _NIGHT_SHARE:
        return "batch"
    return rng.choices(list(_MIX), list(_MIX.values()))[0]


def _version(start_ms: int, deploy_ms: int | None) -> str:
    """A request stays with the version that it began with, as in a rolling deploy."""
    if deploy_ms is not None and start_ms >= deploy_ms:
        return NEW_VERSION
    return OLD_VERSION


def _kinds(plan: Plan) -> list[str]:
    """The fault of each request, or an empty text. They do not touch the hosts' generators."""
    rng = Random(f"shop {plan.seed} faults")
    kinds = [kind for kind, n in plan.faults.items() if kind in FAULTS for _ in range(n)]
    rng.shuffle(kinds)
    out = [""] * plan.sessions
    for number, kind in zip(rng.sample(range(plan.sessions), len(kinds)), kinds, strict=True):
        out[number] = kind
    return out


@dataclass(frozen=True, slots=True)
class _Start:
    time_ms: int
    workflow: str
    version: str


def _request(seed: int, number: int, start: _Start, kind: str) -> Request:
    """A request; with a fault, hosts are drawn until one has a place for it."""
    workflow = start.workflow
    attempt = 0
    while True:
        rng = Random(f"shop {seed} {number} {attempt}")
        host = draw_events(rng, draw_course(rng, workflow))
        if start.version == NEW_VERSION:
            host = _deployed(rng, host)
        events = host
        places: tuple[Place, ...] = ()
        detail = ""
        if kind:
            damage = inject(rng, kind, host, workflow, _is_fault)
            if damage is None:
                attempt += 1
                # Some workflows have no place for a kind: a batch awaits nobody.
                workflow = rng.choice(list(_MIX))
                continue
            events = _in_words_of(start.version, damage.events)
            places = damage.places
            detail = damage.detail
        return Request(
            key=Random(f"shop {seed} {number} key").getrandbits(128),
            workflow=workflow,
            start_ms=start.time_ms,
            version=start.version,
            events=tuple(events),
            host=tuple(host),
            kind=kind,
            places=places,
            detail=detail,
        )


def _extra(plan: Plan, moments: Sequence[Moment], deploy_ms: int | None) -> list[Request]:
    """The requests of a burst, each normal by itself, and those that fail alike."""
    out = []
    sizes = {"burst": BURST_SIZE, "alike": plan.alike}
    for moment in moments:
        for number in range(sizes.get(moment.kind, 0)):
            rng = Random(f"shop {plan.seed} {moment.kind} {number}")
            start_ms = rng.randrange(moment.start_ms, moment.end_ms)
            version = _version(start_ms, deploy_ms)
            if moment.kind == "burst":
                events = draw_events(rng, draw_course(rng, "checkout", is_paid=False))
            else:
                events = draw_events(rng, draw_course(rng, "checkout", is_paid=True, retries=0))
            if version == NEW_VERSION:
                events = _deployed(rng, events)
            request = Request(
                key=rng.getrandbits(128),
                workflow="checkout",
                start_ms=start_ms,
                version=version,
                events=tuple(events),
                host=tuple(events),
            )
            if moment.kind == "alike":
                request = _failing_alike(rng, request)
            out.append(request)
    return out


def _failing_alike(rng: Random, request: Request) -> Request:
    """The provider answers 503, and the shop refuses the order without freeing its stock."""
    at = names_of(request.host).index("payment.captured")
    failed = replace(request.host[at].with_values(status=503), level="ERROR")
    context = draw_context(rng)
    refused = draw_event(rng, "checkout.refused", STEPS["checkout.refused"], context)
    events = (*request.host[:at], failed, refused.with_values(status=503))
    return replace(
        request, events=events, kind="alike", places=((at, at + 2),), detail="payment fails"
    )


def names_of(events: Sequence[Event]) -> list[str]:
    return [event.name for event in events]


assert set(_MIX) < set(WORKFLOWS)
