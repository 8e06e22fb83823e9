"""`python -m export.simulated models/demo`.

The bundle of `fluent-krone demo`, fitted to simulated normal sessions.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from fluent_krone.core.hierarchy import Hierarchy, Leaf
from fluent_krone.core.sessions import SessionSettings
from fluent_krone.demo.simulator import IDLE_TIMEOUT_S, SESSION_KEY, STEPS, normal_courses
from fluent_krone.detect.budget import DECIMALS
from fluent_krone.detect.bundle import load_bundle
from fluent_krone.detect.bundle_writer import BundleContent, write_bundle
from fluent_krone.detect.nested_aware import NestedFiles
from fluent_krone.detect.steps import WitnessFiles
from fluent_krone.reading.records import InputSettings

from .calibrate import calibrate
from .panel import fit_steps
from .sequences import patterns_of
from .to_onnx import fit_onnx
from .traces import Trace

# Simulated sessions to learn from: so many that hardly any course of the simulator stays unseen.
SESSIONS = 200_000
SEED = "training"


def fit_demo(folder: Path, sessions: int = SESSIONS) -> None:
    """Write the bundle into `folder`; the same simulator gives the same bytes."""
    number = {name: log_key for log_key, name in enumerate(STEPS)}
    training = [tuple(number[step] for step in course) for course in normal_courses(sessions, SEED)]
    tree = Hierarchy(
        [Leaf(step.template, step.entity, step.action, step.status) for step in STEPS.values()]
    )
    counts: Counter[int] = Counter()
    for log_keys in training:
        counts.update(log_keys)
    model, onnx = fit_onnx(training, tree)
    calibration = calibrate(training, tree)
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
        nested=NestedFiles(
            model=onnx,
            columns=list(model.columns),
            weights=model.weights.tolist(),
            normal=model.normal,
            threshold=calibration.threshold,
            band=calibration.band,
            decimals=DECIMALS,
        ),
        clearing=calibration.clearing,
        steps=WitnessFiles(
            witnesses=fit_steps([Trace(keys) for keys in training], tree),
            budget=calibration.budget,
            false_alarms=calibration.asked,
            blind=calibration.blind,
            detection=calibration.detection,
        ),
        training_summary={"sessions": len(training), "events": counts.total()},
    )
    write_bundle(folder, content)
    load_bundle(str(folder))


if __name__ == "__main__":
    fit_demo(Path(sys.argv[1]))
