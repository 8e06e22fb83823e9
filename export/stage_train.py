"""The stages `train` and `calibrate`: the density as an ONNX model, then its threshold."""

from __future__ import annotations

import dataclasses

from fluent_krone.core.hierarchy import Hierarchy

from .calibrate import calibrate
from .stages import Work
from .work_files import (
    leaves_of,
    training_of,
)


def run_train(work: Work) -> None:
    """Fit the density and write it as an ONNX model."""
    # Imported only here, because `onnx` is slow to import and the first stages do not need it.
    from . import to_onnx

    sessions = [session.log_keys for session in training_of(work)]
    model, content = to_onnx.fit_onnx(sessions, Hierarchy(leaves_of(work)), seed=work.options.seed)
    fields = {
        "columns": list(model.columns),
        "weights": model.weights.tolist(),
        "normal": model.normal,
    }
    work.write("nested_aware.onnx", content)
    work.write_json("nested_aware.json", fields)
    if model.dropped:
        kept = f"the model keeps {len(model.normal):,}"
        work.warn(f"{model.dropped:,} rare kinds of session were merged with their nearest: {kept}")
    size = f"{len(content) / 1024:,.0f} KB"
    work.say(
        f"train: {len(model.normal):,} distinct normal sessions, {len(model.columns):,} features, "
        f"{size} as ONNX"
    )


def run_calibrate(work: Work) -> None:
    """Find the threshold and the clearing rule, and write them."""
    sessions = [session.log_keys for session in training_of(work)]
    with work.progress("calibrate") as bar:
        found = calibrate(
            sessions, Hierarchy(leaves_of(work)), seed=work.options.seed, on_progress=bar.show
        )
    work.write_json("calibration.json", dataclasses.asdict(found))
    work.say(f"calibrate: threshold {found.threshold:g}. {found.words}")
