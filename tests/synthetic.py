"""A made-up service, small enough to judge by hand: a lift opens its door, moves, and closes it.

Log keys are the positions in `ROWS`. A ride is normal when it is one of `NORMAL`, log key by log
key.
"""

from __future__ import annotations

import gzip
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack

from export.fit_values import learn_values
from export.sequences import TrainingSession
from fluent_krone.config import Config
from fluent_krone.core.engine import Engine, EngineParts, Limits
from fluent_krone.core.hierarchy import Hierarchy, Leaf
from fluent_krone.core.localise import NestedDetector
from fluent_krone.core.sessions import SessionSettings
from fluent_krone.core.steps import NO_WITNESSES, StepJudge
from fluent_krone.core.stream.flow_findings import FlowNode
from fluent_krone.detect.budget import Budget, Plan
from fluent_krone.detect.bundle import Golden, limits_of
from fluent_krone.detect.bundle_writer import BundleContent, write_bundle
from fluent_krone.detect.durations import measure_durations
from fluent_krone.detect.levels import learn_levels
from fluent_krone.detect.local_context import LocalContext
from fluent_krone.detect.order import Order, count_order
from fluent_krone.detect.proportions import Proportions
from fluent_krone.detect.steps import Steps
from fluent_krone.detect.times import measure_times
from fluent_krone.detect.waits import measure_waits
from fluent_krone.detect.witnesses import StepWitnesses
from fluent_krone.reading.records import InputSettings
from fluent_krone.types import LEVELS, Finding, FlowLevel, Level

S = 10**9
T0 = 1_700_000_000 * S  # 2023-11-14T22:13:20Z

# template, entity, action, status, where that came from
ROWS = [
    ("gate: open door <num>", "gate", "open", "asked", "hand"),
    ("gate: door <num> is open", "gate", "open", "done", "hand"),
    ("lift: going to floor <num>", "lift", "move", "going", "hand"),
    ("lift: arrived at floor <num>", "lift", "move", "arrived", "hand"),
    ("lift: stuck at floor <num>", "lift", "move", "stuck", "hand"),
    ("gate: close door <num>", "gate", "close", "asked", "hand"),
    ("bye <*>", "none", "none", "none", "hand"),
]
OPEN, OPENED, GOING, ARRIVED, STUCK, CLOSE, BYE = range(len(ROWS))
UNKNOWN = len(ROWS)
MESSAGES = [row[0].replace("<num>", "3").replace("<*>", "bob") for row in ROWS] + [
    "fire in the machine room 9"
]
# What a new version says: a step more, a step under another name, and one that speaks of an error.
WEIGHED, STANDS_OPEN, BROKEN = range(UNKNOWN + 1, UNKNOWN + 4)
MESSAGES += [
    "lift: cabin weighed, 3 persons",
    "gate: the door 3 stands open",
    "lift: 3 brakes failed",
]

NORMAL = [
    (OPEN, OPENED, CLOSE),
    (OPEN, OPENED, GOING, ARRIVED, CLOSE),
    (OPEN, OPENED, GOING, GOING, ARRIVED, CLOSE),
    (OPEN, OPENED, GOING, ARRIVED, CLOSE, BYE),
]


def tree(**options: Any) -> Hierarchy:
    return Hierarchy([Leaf(*row[:4]) for row in ROWS], **options)


def patterns_of(
    hierarchy: Hierarchy, sessions: Iterable[Sequence[int]]
) -> dict[Level, list[tuple[int, ...]]]:
    seen: dict[Level, set[tuple[int, ...]]] = {level: set() for level in LEVELS}
    for keys in sessions:
        for seq in hierarchy.decompose(keys):
            seen[seq.level].add(seq.pattern)
    return {level: sorted(seen[level]) for level in LEVELS}


def counts() -> list[int]:
    """How often normal training had each template: never a lift that is stuck."""
    return [sum(keys.count(key) for keys in NORMAL) for key in range(len(ROWS))]


def write_lift_bundle(path: Path, **overrides: Any) -> None:
    """Write the bundle into `path`, with some of the `BundleContent` in place of ours."""
    golden = [
        Golden(records=tuple({"message": MESSAGES[k], "ride": "1"} for k in keys), findings=())
        for keys in NORMAL
    ]
    content: dict[str, Any] = {
        "name": "lift",
        "input_settings": InputSettings(session_key=("ride",)),
        "session_settings": SessionSettings(idle_timeout=60.0),
        "rows": ROWS,
        "counts": counts(),
        "patterns": patterns_of(tree(), NORMAL),
        "training": [(b"trained",)],
        "golden": golden,
    }
    write_bundle(path, BundleContent(**content | overrides))


def make_limits(**given: Any) -> Limits:
    """The engine's limits as by default, but for what is given.

    Changes are looked for only where a test is about them: what is unknown is unknown at once.
    """
    return limits_of(Config(**{"change_settle": 0.0} | given))


def lift_engine(
    *,
    limits: Limits | None = None,
    session_key: tuple[str, ...] = ("ride",),
    time_field: str | None = None,
    nested: NestedDetector | None = None,
    steps: StepJudge = NO_WITNESSES,
    flow_nodes: Sequence[FlowNode] = (),
    **session: Any,
) -> Engine:
    """An engine over the same words; `session` are SessionSettings, idle timeout 60 s."""
    hierarchy = tree()
    parts = EngineParts(
        templates=[row[0] for row in ROWS],
        seen=[n > 0 for n in counts()],
        hierarchy=hierarchy,
        patterns=LocalContext(patterns_of(hierarchy, NORMAL)),
        nested=nested,
        steps=steps,
        flow_nodes=flow_nodes,
        input_settings=InputSettings(session_key=session_key, time_field=time_field),
        session_settings=SessionSettings(**{"idle_timeout": 60.0} | session),
    )
    return Engine(parts, limits or make_limits())


def gzipped(frame: bytes) -> bytes:
    """A PackedForward frame as CompressedPackedForward."""
    tag, entries, option = msgpack.unpackb(frame)
    return bytes(
        msgpack.packb([tag, gzip.compress(entries, mtime=0), option | {"compressed": "gzip"}])
    )


def event(key: str, log_key: int, at_s: float | None = 0) -> tuple[int | None, dict[bytes, Any]]:
    """A log line of ride `key`, `at_s` seconds after T0 (None: it has no time)."""
    record = {b"message": MESSAGES[log_key].encode(), b"ride": key.encode()}
    return None if at_s is None else T0 + round(at_s * S), record


def ride(
    key: str, log_keys: Sequence[int], at_s: float = 0
) -> list[tuple[int | None, dict[bytes, Any]]]:
    """A ride's lines, one a second."""
    return [event(key, log_key, at_s + i) for i, log_key in enumerate(log_keys)]


def sequences(findings: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.kind == "sequence"]


def novelties(findings: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.kind == "unseen_template"]


def step_witnesses(silence_s: float = 0) -> StepWitnesses:
    """Witnesses of steps by what normal rides are: two seconds between steps, floors 1 to 9.

    With `silence_s`, sessions that wait for longer than normal ones hang.
    """
    rng = random.Random(0)
    rides_of_training = [keys for keys in NORMAL for _ in range(60)]
    gaps = [tuple(rng.choice((1, 2)) * S for _ in keys[1:]) for keys in rides_of_training]
    values = [
        ((GOING,), ((b"%d" % rng.randint(1, 9),),)) for _ in range(len(rides_of_training) * 4)
    ]
    hierarchy = tree()
    learnt = learn_values(values)
    return StepWitnesses(
        order=Order(hierarchy, count_order(rides_of_training, hierarchy)),
        times=measure_times(zip(rides_of_training, gaps, strict=True), hierarchy),
        values=learnt,
        levels=learn_levels((keys, (3,) * len(keys)) for keys in rides_of_training),
        durations=measure_durations(zip(rides_of_training, gaps, strict=True), hierarchy),
        waits=measure_waits(zip(rides_of_training, gaps, strict=True), int(silence_s * S)),
        proportions=Proportions(learnt),
    )


def step_budget() -> Budget:
    """A budget that gives each witness of steps a threshold."""
    scores = {"order.session": 2.5, "order.entity": 2.5, "time": 6.0, "values": 4.0, "levels": 5}
    scores |= {"time.wait": 3.0, "time.seq": 4.0}
    return Budget(999, dict.fromkeys(scores, (1.0,)), (Plan(1.0, {"density": 9.0, **scores}),))


def step_judge(silence_s: float = 0) -> Steps:
    budget = step_budget()
    return Steps(tree(), step_witnesses(silence_s), budget, budget.thresholds(1.0))


def flow_nodes() -> list[FlowNode]:
    """Nodes that deviate soon: a ride starts twice a minute, and so does each step."""
    keys_of: dict[FlowLevel, tuple[int, ...]] = {
        "stream": (),
        "entity": (OPEN, OPENED, CLOSE),
        "status": (OPEN,),
    }
    return [
        FlowNode(
            level=level,
            log_key=(log_keys or (UNKNOWN,))[0],
            log_keys=log_keys,
            above=number - 1,
            name=level,
            rates=(2.0,) * 24,
            most_missing=6.0,
            most_windows=2,
            highest=(1.0, 1.0, 1.0),
            p_value=0.001,
        )
        for number, (level, log_keys) in enumerate(keys_of.items())
    ]


def deviations(findings: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.kind == "deviation"]


@dataclass(frozen=True)
class Distance:
    score: float
    bound: float
    nearest: tuple[int, ...]


class Counts:
    """The plainest nested detector: by how many events the nearest normal session differs."""

    name = "counts"

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self.normal: Sequence[Sequence[int]] = NORMAL

    def density(self, log_keys: Sequence[int], *, ended: bool = True) -> Distance:
        here = Counter(log_keys)
        over = [(here - Counter(there)).total() for there in self.normal]
        whole = [
            more + (Counter(there) - here).total()
            for more, there in zip(over, self.normal, strict=True)
        ]
        return Distance(min(whole), min(over), (whole.index(min(whole)),))

    def is_abnormal(self, score: float) -> bool:
        return score > self.threshold

    def has_counts(self, log_keys: Sequence[int]) -> bool:
        return any(Counter(keys) == Counter(log_keys) for keys in self.normal)

    def is_new_step(self, log_key: int) -> bool:
        return all(log_key not in keys for keys in self.normal)

    def most(self, log_key: int) -> int:
        return max(keys.count(log_key) for keys in self.normal)

    def excess(self, log_key: int, here: int, there: int) -> float:
        return float(abs(here - there))


def steady_training(
    minutes: int, first_ns: int = T0, keys: tuple[int, ...] = (OPEN, CLOSE)
) -> list[TrainingSession]:
    """Three sessions a minute for `minutes` minutes, a step a second."""
    gaps_ns = (S,) * (len(keys) - 1)
    return [
        TrainingSession(
            (b"%d-%d" % (minute, number),), first_ns + (60 * minute + number) * S, keys, gaps_ns
        )
        for minute in range(minutes)
        for number in range(3)
    ]
