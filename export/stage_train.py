"""The stages `calibrate` and `train`: the thresholds, then the density as an ONNX model."""

from __future__ import annotations

import dataclasses

from fluent_krone.core.hierarchy import Hierarchy
from fluent_krone.detect.loops import loops_to_json
from fluent_krone.detect.needs import needs_to_json

from .calibrate import calibrate
from .stages import Work
from .work_files import kept_of, leaves_of, read_cut

# Sessions times false alarms in 1,000 of them: with less, not one false alarm is to be expected in
# the training itself.
_FEWEST = 1000


def run_train(work: Work) -> None:
    """Fit the density and write it as an ONNX model."""
    # Imported only here, because `onnx` is slow to import and the first stages do not need it.
    from . import to_onnx

    sessions = [session.log_keys for session in kept_of(work)]
    model, content = to_onnx.fit_onnx(sessions, Hierarchy(leaves_of(work)), seed=work.options.seed)
    fields = {
        "columns": list(model.columns),
        "weights": model.weights.tolist(),
        "normal": model.normal,
        "costs": model.costs.round(6).tolist(),
        "number_costs": model.number_costs.round(6).tolist(),
        "needs": needs_to_json(model.needs),
        "loops": loops_to_json(model.loops),
    }
    work.write("nested_aware.onnx", content)
    work.write_json("nested_aware.json", fields)
    if model.dropped:
        kept = f"the model keeps {len(model.normal):,}"
        work.warn(f"{model.dropped:,} rare kinds of session were merged with their nearest: {kept}")
    size = f"{len(content) / 1024:,.0f} KB"
    work.say(
        f"train: normal sessions have {len(model.normal):,} different counts of steps; the density "
        f"of {len(model.columns):,} counts takes {size} as ONNX"
    )


def run_calibrate(work: Work) -> None:
    """Find the thresholds and write them, with what they are expected to find."""
    cut = read_cut(work)
    sessions = [session.trace for session in cut.training]
    with work.progress("calibrate") as bar:
        found = calibrate(
            sessions,
            Hierarchy(leaves_of(work)),
            seed=work.options.seed,
            false_alarms=work.options.false_alarms,
            labelled=cut.is_labelled,
            on_progress=bar.show,
        )
    work.write_json("calibration.json", dataclasses.asdict(found))
    work.say(f"calibrate: {found.words}")
    if found.trimmed:
        work.warn(
            f"{found.trimmed:,} of {len(sessions):,} training sessions are unlike all others: the "
            "training seems to hold abnormal ones. They were left out, and later ones like them "
            "are flagged"
        )
    if found.doubtful:
        work.say(
            f"{found.doubtful:,} more have steps that are hardly to be expected, as faults and "
            "rare normal sessions have: they are learnt from, but set no threshold by their steps"
        )
    if found.too_many:
        work.warn(
            f"{found.too_many:,} of {len(sessions):,} training sessions are unlike the others: "
            "that is too many to leave out, so faults among them count as normal; fit on a part of "
            "the log that is mostly normal"
        )
    if found.asked * len(sessions) < _FEWEST:
        work.warn(
            f"{len(sessions):,} training sessions are too few to tell what {found.asked:g} in "
            "1,000 looks like: expect more false alarms than that, or export more sessions"
        )
