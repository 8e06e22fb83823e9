"""From a log to a bundle: mine → hierarchy → sequences → calibrate → train → report → bundle.

The stages write these files into a work directory:

- templates.json: the templates, and the settings that read the log
- hierarchy.csv: the tree, which a person may read and correct
- sequences.jsonl: one session instance on each line; sequences.json: how they were cut
- calibration.json: the thresholds, and which sessions nothing is learnt from
- nested_aware.onnx, nested_aware.json: the density
- report.json, report.html: the report card
"""

from __future__ import annotations

import importlib.util
import sys

from fluent_krone.errors import ExportError
from fluent_krone.inputs import check_file

from .stage_bundle import REPORT_FILES, run_bundle
from .stage_hierarchy import extractor_of, run_hierarchy
from .stage_mine import INPUT_OPTIONS, run_mine
from .stage_report import run_report
from .stage_sequences import IDLE_TIMEOUT_S, run_sequences, session_settings
from .stage_train import run_calibrate, run_train
from .stages import Stage, Work, run_stages

# Options that name what to learn from.
_READS = ("input", "sessions", "templates")
# Packages of the `export` extra, in the order in which they are named to install them.
_EXTRA = ("onnx", "pyarrow", "pydantic")

STAGES = (
    Stage("mine", run_mine, (*_READS, *INPUT_OPTIONS, "train_fraction"), (), ("templates.json",)),
    Stage(
        "hierarchy",
        run_hierarchy,
        ("tree", "llm", "llm_model", "llm_base_url"),
        ("templates.json",),
        ("hierarchy.csv",),
    ),
    Stage(
        "sequences",
        run_sequences,
        (
            *_READS,
            "labels",
            "idle_timeout",
            "window",
            "max_age",
            "max_events",
            "allowed_lateness",
            "end_templates",
            "train_fraction",
        ),
        ("templates.json",),
        ("sequences.jsonl", "sequences.json"),
    ),
    Stage(
        "calibrate",
        run_calibrate,
        ("seed", "false_alarms"),
        ("templates.json", "hierarchy.csv", "sequences.jsonl"),
        ("calibration.json",),
    ),
    Stage(
        "train",
        run_train,
        ("seed",),
        ("templates.json", "hierarchy.csv", "sequences.jsonl", "calibration.json"),
        ("nested_aware.onnx", "nested_aware.json"),
    ),
    Stage(
        "report",
        run_report,
        ("seed", "name", "output", "train_fraction"),
        (
            "templates.json",
            "hierarchy.csv",
            "sequences.jsonl",
            "sequences.json",
            "nested_aware.onnx",
            "nested_aware.json",
            "calibration.json",
        ),
        REPORT_FILES,
    ),
    Stage("bundle", run_bundle, (), (), ()),
)


def _check_extra() -> None:
    """Raise ExportError unless the packages of the `export` extra are installed."""
    missing = [name for name in _EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        raise ExportError(
            f"the export needs packages that are not installed ({', '.join(missing)}): run "
            f"{sys.executable} -m pip install {' '.join(_EXTRA)}"
        )


def fit(work: Work, until: str = "bundle") -> None:
    """Bring a work directory up to date, through the stage `until`.

    Raises ExportError, whose one line says what is missing. Then no bundle is written, but the
    files of finished stages stay.
    """
    # What would fail in a later stage is reported before the first one.
    _check_extra()
    session_settings(work.options, IDLE_TIMEOUT_S)
    names = [stage.name for stage in STAGES]
    stages = STAGES[: names.index(until) + 1]
    for name in ("labels", "tree"):
        path = getattr(work.options, name)
        if path and any(name in stage.uses for stage in stages):
            check_file(f"--{name}", path)
    extractor_of(work)
    work.path.mkdir(parents=True, exist_ok=True)
    run_stages(stages, work)
