"""From a log to a bundle: mine → hierarchy → sequences → train → calibrate → report → bundle.

templates.json   the templates, and the settings that read the log
hierarchy.csv    the tree, to be read and corrected
sequences.jsonl  a session instance a line; sequences.json: how they were cut
nested_aware.onnx, nested_aware.json
calibration.json
report.json, report.html

"""

from __future__ import annotations

from .stage_bundle import REPORT_FILES, run_bundle
from .stage_hierarchy import extractor_of, run_hierarchy
from .stage_mine import INPUT_OPTIONS, run_mine
from .stage_report import run_report
from .stage_sequences import IDLE_TIMEOUT_S, run_sequences, session_settings
from .stage_train import run_calibrate, run_train
from .stages import Stage, Work, run_stages

_READS = ("input", "sessions", "templates")


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
            "end_templates",
            "train_fraction",
        ),
        ("templates.json",),
        ("sequences.jsonl", "sequences.json"),
    ),
    Stage(
        "train",
        run_train,
        ("seed",),
        ("templates.json", "hierarchy.csv", "sequences.jsonl"),
        ("nested_aware.onnx", "nested_aware.json"),
    ),
    Stage(
        "calibrate",
        run_calibrate,
        ("seed",),
        ("templates.json", "hierarchy.csv", "sequences.jsonl"),
        ("calibration.json",),
    ),
    Stage(
        "report",
        run_report,
        ("seed", "name", "output", "train_fraction"),
        (
            *("templates.json", "hierarchy.csv", "sequences.jsonl", "sequences.json"),
            *("nested_aware.onnx", "nested_aware.json", "calibration.json"),
        ),
        REPORT_FILES,
    ),
    Stage("bundle", run_bundle, (), (), ()),
)


def fit(work: Work, until: str = "bundle") -> None:
    """Bring a work directory up to date, through the stage `until`.

    Raises ExportError, one line that says what is missing; then no bundle is written, and what stages are done stay.
    """
    # Wrong settings are told before the work is done.
    session_settings(work.options, IDLE_TIMEOUT_S)
    extractor_of(work)
    names = [stage.name for stage in STAGES]
    work.path.mkdir(parents=True, exist_ok=True)
    run_stages(STAGES[: names.index(until) + 1], work)
