"""`python -m export.simulated models/demo`.

The bundle of `fluent-krone demo`, fitted to simulated normal sessions.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from fluent_krone.core.hierarchy import Hierarchy, Leaf
from fluent_krone.core.sessions import SessionSettings
from fluent_krone.demo.courses import STEPS
from fluent_krone.demo.simulator import (
    IDLE_TIMEOUT_S,
    SESSION_KEY,
    SimulatedSession,
    normal_courses,
    simulate,
)
from fluent_krone.detect.bundle import load_bundle
from fluent_krone.detect.bundle_writer import BundleContent, write_bundle
from fluent_krone.detect.loops import loops_to_json
from fluent_krone.detect.needs import needs_to_json
from fluent_krone.detect.waits import usual_silence_ns
from fluent_krone.detect.witnesses import WitnessFiles
from fluent_krone.reading.levels import RANKS
from fluent_krone.reading.records import InputSettings
from fluent_krone.reading.slots import SlotReader

from .calibrate import calibrate
from .fit_witnesses import fit_steps
from .rates import measure_rates
from .sequences import TrainingSession, patterns_of
from .to_onnx import fit_onnx, nested_files
from .traces import Trace

# Simulated sessions to learn from: enough that hardly any course of the simulator stays unseen.
SESSIONS = 150_000
SEED = "training"
# Of these, the share that comes with times, values and levels, which take longer to learn from.
_WHOLE_SHARE = 0.1

_NUMBER = {name: log_key for log_key, name in enumerate(STEPS)}


def fit_demo(folder: Path) -> None:
    """Write the bundle into `folder`; the same simulator gives the same bytes."""
    whole = _whole_sessions(round(SESSIONS * _WHOLE_SHARE))
    courses = normal_courses(SESSIONS - len(whole), SEED)
    traces = [session.trace for session in whole]
    traces += [Trace(tuple(_NUMBER[step] for step in course)) for course in courses]
    training = [trace.keys for trace in traces]
    tree = Hierarchy(
        [Leaf(step.template, step.entity, step.action, step.status) for step in STEPS.values()]
    )
    counts: Counter[int] = Counter()
    for log_keys in training:
        counts.update(log_keys)
    model, onnx = fit_onnx(training, tree)
    calibration = calibrate(traces, tree)
    folder.mkdir(parents=True, exist_ok=True)
    content = BundleContent(
        name="demo",
        input_settings=InputSettings(session_key=(SESSION_KEY,), component_field="component"),
        session_settings=SessionSettings(idle_timeout=IDLE_TIMEOUT_S),
        rows=[
            (*row, "simulator")
            for row in ((s.template, s.entity, s.action, s.status) for s in STEPS.values())
        ],
        counts=[counts[log_key] for log_key in range(len(STEPS))],
        patterns=patterns_of(training, tree),
        training=[],
        golden=[],
        nested=replace(
            nested_files(model, onnx, calibration.threshold, calibration.band),
            costs=model.costs.round(6).tolist(),
            number_costs=model.number_costs.round(6).tolist(),
            proving=True,
            needs=needs_to_json(model.needs),
            loops=loops_to_json(model.loops),
        ),
        clearing=calibration.clearing,
        steps=WitnessFiles(
            witnesses=fit_steps(
                traces, tree, usual_silence_ns(_times(whole)), calibration.steepest
            ),
            budget=calibration.budget,
            false_alarms=calibration.asked,
            blind=calibration.blind,
            detection=calibration.detection,
        ),
        rates=measure_rates(whole, tree),
        training_summary={"sessions": len(training), "events": counts.total()},
    )
    write_bundle(folder, content)
    load_bundle(str(folder))


def _whole_sessions(count: int) -> list[TrainingSession]:
    """Normal sessions of one stream, with all that their events tell."""
    slots = SlotReader([step.template for step in STEPS.values()])
    return [_training_of(session, slots) for session in simulate(count, SEED, faults=False)]


def _training_of(session: SimulatedSession, slots: SlotReader) -> TrainingSession:
    keys = tuple(_NUMBER[move.step] for move in session.moves)
    times = [time_ns for time_ns, _ in session.events]
    texts = [session.text(event).encode() for event in range(len(keys))]
    return TrainingSession(
        key=(session.block.encode(),),
        first_ns=times[0],
        log_keys=keys,
        gaps_ns=tuple(later - before for before, later in pairwise(times)),
        values=tuple(map(slots.values, keys, texts)),
        levels=tuple(RANKS[record["level"].lower().encode()] for _, record in session.events),
    )


def _times(sessions: Sequence[TrainingSession]) -> list[int]:
    """The times of all events of the stream."""
    found = []
    for session in sessions:
        time_ns = session.first_ns
        found.append(time_ns)
        for gap_ns in session.gaps_ns:
            time_ns += gap_ns
            found.append(time_ns)
    return found


if __name__ == "__main__":
    fit_demo(Path(sys.argv[1]))
