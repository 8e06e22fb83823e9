"""The stage `bundle`: everything put together, whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

from fluent_krone.core.engine import Engine
from fluent_krone.core.hierarchy import Hierarchy
from fluent_krone.detect.budget import DECIMALS
from fluent_krone.detect.bundle import Bundle, load_bundle
from fluent_krone.detect.bundle_writer import BundleContent, write_bundle
from fluent_krone.detect.nested_aware import NestedFiles
from fluent_krone.detect.rates import Rates, in_tree
from fluent_krone.detect.witnesses import WitnessFiles
from fluent_krone.errors import ExportError, RecordError
from fluent_krone.inputs import read_events
from fluent_krone.reading.values import as_bytes

from . import golden
from .fit_witnesses import fit_steps
from .rates import FEWEST_WINDOWS, WHOLE_DAY, measure_rates
from .sequences import patterns_of
from .source import BY_TAG
from .stages import Work
from .work_files import (
    bundle_name,
    calibration_of,
    input_settings_of,
    kept_of,
    leaves_of,
    read_cut,
    session_settings_of,
    source_of,
    training_of,
    wide_of,
)

# Events of the longest session that becomes a golden run. Longer ones make a manifest hard to read.
_GOLDEN_EVENTS = 60
# Files of the report that the bundle carries.
REPORT_FILES = ("report.json", "report.html")


def run_bundle(work: Work) -> None:
    """Write the bundle.

    1. Everything is written into a folder beside the target.
    2. The bundle is loaded from there, and golden runs are made with it and added.
    3. It is loaded again, which repeats the golden runs.
    4. The folder takes the place of the target, so that there is never an incomplete bundle.
    """
    output = work.options.output
    if output is None:
        raise ExportError("say where the bundle is to be written: --output DIR")
    check_output(output)
    _check_found(work)
    staging = Path(tempfile.mkdtemp(prefix=".export-", dir=output.parent))
    try:
        for name in REPORT_FILES:
            shutil.copyfile(work.file(name), staging / name)
        content = bundle_content(work) | {"extra_files": REPORT_FILES}
        write_bundle(staging, BundleContent(golden=[], **content))
        bundle = load_bundle(str(staging))
        runs = golden.golden_runs(bundle, _golden_records(work, bundle))
        write_bundle(staging, BundleContent(golden=runs, **content))
        bundle = load_bundle(str(staging))
        staging.chmod(0o755)
        _swap(staging, output)
    except OSError as error:
        raise ExportError(f"the bundle can't be written to {output}: {error.strerror}") from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    work.say(
        f"bundle: {output} ({bundle.hash}), {len(bundle.golden)} golden runs, "
        f"{_size(output):,.0f} KB"
    )


def _check_found(work: Work) -> None:
    """Raise ExportError where the bundle finds less of the injected faults than is required."""
    calibration = calibration_of(work)
    if calibration.found < work.options.require:
        blind = ", ".join(kind.replace("_", " ") for kind in calibration.blind)
        raise ExportError(
            f"the bundle finds {calibration.found:.0%} of the injected faults, and --require asks "
            f"for {work.options.require:.0%}; it hardly sees: {blind or 'no kind in particular'}. "
            "Accept more --false-alarms, or see docs/witnesses.md for what helps"
        )


def _swap(staging: Path, output: Path) -> None:
    old = staging.with_name(staging.name + ".old")
    if output.exists():
        output.replace(old)
    try:
        staging.replace(output)
    except OSError:
        if old.exists():
            old.replace(output)
        raise
    shutil.rmtree(old, ignore_errors=True)


def check_output(output: Path) -> None:
    """Raise ExportError, before any work is done, unless a bundle can be written there."""
    if output.exists() and not (output / "manifest.json").is_file() and not _is_empty(output):
        raise ExportError(
            f"{output} exists and is not a bundle, so it is not replaced: name another --output"
        )
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".export-", dir=output.parent):
            pass
    except OSError as error:
        raise ExportError(f"the bundle can't be written to {output}: {error.strerror}") from None


def _is_empty(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def _size(path: Path) -> float:
    return sum(file.stat().st_size for file in path.iterdir()) / 1024


def _usual(work: Work, tree: Hierarchy) -> tuple[Rates, int]:
    """How often steps usually come, and how long a silence of the stream counts as waiting.

    The input may be a sample of a stream that another bundle knows as a whole (`usual_of`).
    """
    if work.options.usual_of is not None:
        known = load_bundle(str(work.options.usual_of))
        silence_ns = 0
        if known.witnesses is not None:
            silence_ns = known.witnesses.waits.silence_ns
        return in_tree(known.rates, known.hierarchy, tree), silence_ns
    rates = measure_rates(read_cut(work).sessions, tree)
    _warn_of_rates(work, rates)
    # Sessions that were cut before the export have no times.
    return rates, work.read_json("sequences.json").get("silence_ns", 0)


def _warn_of_rates(work: Work, rates: Rates) -> None:
    """Warn where the training is too short to know how often steps usually come."""
    if not rates.nodes:
        work.warn(
            f"the log is shorter than {FEWEST_WINDOWS} minutes or longer than a year, or has no "
            "times: there will be no flow alerts about bursts and silences"
        )
    elif rates.windows < WHOLE_DAY:
        work.warn(
            f"the log is {rates.windows / 60:.1f} hours long: at other hours of the day, there "
            "will be no flow alerts about silences, and a burst of a step is told only by how "
            "often the other steps come meanwhile"
        )


def bundle_content(work: Work) -> dict[str, Any]:
    """What a `BundleContent` holds, except golden runs and the report."""
    leaves = leaves_of(work)
    training = training_of(work)
    kept = kept_of(work)
    traces = [session.trace for session in kept]
    tree = Hierarchy(leaves)
    rates, silence_ns = _usual(work, tree)
    facts = work.read_json("sequences.json")
    model = work.read_json("nested_aware.json")
    calibration = calibration_of(work)
    counts = Counter(key for session in kept for key in session.log_keys)
    return {
        "name": bundle_name(work.options),
        "input_settings": input_settings_of(work),
        "session_settings": session_settings_of(facts),
        "rows": [
            (leaf.template, leaf.entity, leaf.action, leaf.status, leaf.source) for leaf in leaves
        ],
        "wide": wide_of(work),
        "counts": [counts[key] for key in range(len(leaves))],
        "patterns": patterns_of((session.log_keys for session in kept), tree),
        "training": [session.key for session in training],
        "nested": NestedFiles(
            model=work.file("nested_aware.onnx").read_bytes(),
            columns=[(kind, node) for kind, node in model["columns"]],
            weights=model["weights"],
            normal=model["normal"],
            threshold=calibration.threshold,
            band=calibration.band,
            decimals=DECIMALS,
            costs=model["costs"],
            number_costs=model["number_costs"],
            proving=True,
            needs=model["needs"],
            loops=model["loops"],
        ),
        "clearing": calibration.clearing,
        "steps": WitnessFiles(
            witnesses=fit_steps(traces, tree, silence_ns, calibration.steepest),
            budget=calibration.budget,
            false_alarms=calibration.asked,
            blind=calibration.blind,
            detection=calibration.detection,
        ),
        "rates": rates,
        # Work directories of older versions do not say.
        "alert_fields": facts.get("alert_fields", ()),
        "training_summary": {
            "input": source_of(work.options).name,
            "train_fraction": work.options.train_fraction,
            "seed": work.options.seed,
            "sessions": len(training),
            "events": counts.total(),
        },
    }


def _golden_records(work: Work, bundle: Bundle) -> list[dict[str, str]]:
    """Records like those of the most common training session, but with invented values."""
    training = [session for session in kept_of(work) if 0 < len(session.log_keys) <= _GOLDEN_EVENTS]
    if not training:
        return []
    wanted = Counter(session.log_keys for session in training).most_common(1)[0][0]
    engine = bundle.engine()
    if work.options.sessions or bundle.input_settings.session_key == BY_TAG:
        return golden.from_templates(wanted, bundle.input_settings, engine)
    key = next(session.key for session in training if session.log_keys == wanted)
    inputs = work.options.input or source_of(work.options)
    records = (record for _, record in read_events(inputs) if _is_of(engine, record, key))
    return golden.invent(islice(records, len(wanted)), bundle.input_settings, engine)


def _is_of(engine: Engine, record: dict[bytes, Any], key: tuple[bytes, ...]) -> bool:
    content = b"\n".join(as_bytes(value) for value in record.values())
    if not any(part in content for part in key):
        return False
    try:
        return key in engine.reader.read(b"export", record)[1]
    except RecordError:
        return False
