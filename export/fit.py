"""From a log to a bundle: mine → hierarchy → sequences → train → calibrate → report → bundle.

templates.json   the templates, and the settings that read the log
hierarchy.csv    the tree, to be read and corrected
sequences.jsonl  a session instance a line; sequences.json: how they were cut
nested_aware.onnx, nested_aware.json
calibration.json
report.json, report.html
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from fluent_krone.alerts.records import AlertMaker
from fluent_krone.config import Config
from fluent_krone.core.engine import Engine
from fluent_krone.core.hierarchy import Hierarchy
from fluent_krone.core.sessions import SessionSettings
from fluent_krone.detect.bundle import Bundle, NestedFiles, load_bundle, write_bundle
from fluent_krone.errors import ExportError, RecordError
from fluent_krone.inputs import count_events, is_abnormal, read_events, read_labels, read_rows
from fluent_krone.reading.records import InputSettings, as_bytes, key_text

from . import golden, hierarchy, mine, source
from .calibrate import DECIMALS, Calibration, calibrate
from .sequences import TrainingSession, cut_sessions, patterns_of
from .stages import Options, Stage, Work, run_stages

_GOLDEN_EVENTS = 60
_CUT_SHARE = 0.05
_IDLE_TIMEOUT_S = 1800.0  # where nothing better is known
_ALERT_SESSIONS = 300  # judged to show alerts in the report
_READS = ("input", "sessions", "templates")
_INPUT = tuple(f.name for f in dataclasses.fields(InputSettings))
_REPORT = ("report.json", "report.html")


# --- mine ------------------------------------------------------------------------------------------------------------


def _mine(work: Work) -> None:
    options = work.options
    if options.sessions:
        settings = InputSettings(
            **{name: value for name in _INPUT if (value := getattr(options, name))}
            | {"session_key": options.session_key or ("session",)}
        )
        rows = [{"id": i, "template": text, "count": 0} for i, text in _read_templates(options)]
        _write_templates(work, settings, rows, None, None)
        return
    path = source_of(options)
    settings = source.settle(options, work.say, work.warn)
    before_ns = source.cut_off(path, settings, options.train_fraction)
    with work.progress("mine", count_events(path)) as bar:
        seen = source.FirstPass(path, settings, before_ns, bar.show)
        mined = _templates_of(seen, options, settings)
    seen.check(work.say)
    for warning in mined.warnings:
        work.warn(warning)
    _write_templates(work, settings, mined.rows(), before_ns, seen.pauses.suggest())


def _templates_of(
    seen: source.FirstPass, options: Options, settings: InputSettings
) -> mine.MinedTemplates:
    if options.templates:
        known = tuple(text for _, text in _read_templates(options))
        for _ in seen.texts():
            pass
        return mine.MinedTemplates(known, (0,) * len(known), ("",) * len(known))
    pattern = next((part[1:-1] for part in settings.session_key if part.startswith("/")), None)
    return mine.mine(
        seen.texts(), session_pattern=pattern, keep_prefix=bool(settings.component_field)
    )


def _write_templates(
    work: Work,
    settings: InputSettings,
    rows: Sequence[dict[str, Any]],
    before_ns: int | None,
    idle_timeout: tuple[int, str] | None,
) -> None:
    if len(rows) < 2:
        text = f": {rows[0]['template']!r}" if rows else ""
        raise ExportError(
            f"{len(rows)} template was found{text}: sessions of one kind of line can't be told apart"
        )
    content = {
        "input": dataclasses.asdict(settings),
        "fit_before_ns": before_ns,
        "suggested_idle_timeout": idle_timeout,
        "templates": rows,
    }
    work.write_json("templates.json", content)
    work.say(f"mine: {len(rows)} templates")


def _read_templates(options: Options) -> list[tuple[str, str]]:
    """(EventId, template) of `--templates`, each template once."""
    if not options.templates:
        raise ExportError(
            "--sessions needs --templates FILE.csv with columns EventId,EventTemplate"
        )
    found: dict[str, str] = {}
    for number, row in enumerate(read_rows(options.templates), start=1):
        text = str(row.get("EventTemplate") or "").strip()
        if "EventTemplate" not in row or (options.sessions and "EventId" not in row):
            raise ExportError(
                f"templates {options.templates}: needs columns EventId,EventTemplate, has {', '.join(row)}"
            )
        if text:
            found[str(row.get("EventId") or f"E{number}")] = text
    return list(found.items())


# --- hierarchy -------------------------------------------------------------------------------------------------------


def _hierarchy(work: Work) -> None:
    options, templates = work.options, _templates(work)
    if options.tree:
        leaves = hierarchy.read_tree(options.tree, templates)
    else:
        components = None
        if _input_settings(work).component_field:
            components = [text.split(": ", 1)[0] if ": " in text else None for text in templates]
        leaves = _extractor(work)(templates, components)
    hierarchy.write_tree(leaves, work.file(".hierarchy.csv"))
    work.file(".hierarchy.csv").replace(work.file("hierarchy.csv"))
    sources = Counter(leaf.source for leaf in leaves)
    entities = len({leaf.entity for leaf in leaves})
    work.say(
        f"hierarchy: {entities} entities; "
        + ", ".join(f"{n} leaves {name}" for name, n in sources.most_common())
    )


def _extractor(work: Work) -> hierarchy.HierarchyExtractor:
    if work.options.llm is None:
        return hierarchy.extract
    from . import claude  # the package `anthropic` takes a second to import

    return claude.ClaudeExtractor(
        model=work.options.llm_model,
        base_url=work.options.llm_base_url or claude.API,
        cache=work.options.llm_cache or claude.default_cache(),
        warn=work.warn,
        on_progress=work.progress("ask Claude").show,
    )


def _templates(work: Work) -> list[str]:
    return [row["template"] for row in work.read_json("templates.json")["templates"]]


def _input_settings(work: Work) -> InputSettings:
    values = work.read_json("templates.json")["input"]
    return InputSettings(**values | {"session_key": tuple(values["session_key"])})


def _leaves(work: Work) -> list[hierarchy.Leaf]:
    return hierarchy.read_tree(work.file("hierarchy.csv"), _templates(work))


# --- sequences -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Cut:
    """All session instances of the input, which of them to fit on, and what the labels say."""

    sessions: list[TrainingSession]
    fit: list[bool]
    abnormal: list[bool | None]


def _sequences(work: Work) -> None:
    mined = work.read_json("templates.json")
    suggested = mined["suggested_idle_timeout"]
    if suggested and work.options.idle_timeout is None:
        work.say(f"idle timeout, suggested: {source.duration(suggested[0])}, since {suggested[1]}")
    settings = _session_settings(work.options, suggested[0] if suggested else _IDLE_TIMEOUT_S)
    labels = read_labels(work.options.labels) if work.options.labels else {}
    facts: dict[str, Any] = {
        "settings": dataclasses.asdict(settings),
        "records": None,
        "set_aside": {},
    }
    if work.options.sessions:
        sessions, told = _sessions_given(work, mined["templates"])
        before = _position_cut(sessions, work.options.train_fraction)
    else:
        sessions, engine = _sessions_cut(work, settings)
        told, before = [None] * len(sessions), mined["fit_before_ns"]
        facts |= {"records": engine.counters["records"], "set_aside": dict(engine.set_aside)}
    if not sessions:
        raise ExportError("no session was found: check --session-key and --message-field")
    if labels and not any(key_text(session.key) in labels for session in sessions):
        raise ExportError(
            f"labels {work.options.labels} name no session of the input, e.g. not {key_text(sessions[0].key)!r}"
        )
    abnormal = [labels.get(key_text(s.key), old) for s, old in zip(sessions, told, strict=True)]
    fit = [
        a is not True and (before is None or s.first_ns < before)
        for s, a in zip(sessions, abnormal, strict=True)
    ]
    if not any(fit):
        raise ExportError(
            "no normal session is left to train on: all are labelled abnormal, or begin too late"
        )
    _write_sequences(work, _Cut(sessions, fit, abnormal), facts | {"fit_before_ns": before})


def _session_settings(options: Options, idle_timeout_s: float) -> SessionSettings:
    return SessionSettings(
        idle_timeout=idle_timeout_s if options.idle_timeout is None else options.idle_timeout,
        window=options.window,
        max_age=options.max_age,
        max_events=options.max_events,
        end_templates=options.end_templates,
    )


def _sessions_cut(work: Work, settings: SessionSettings) -> tuple[list[TrainingSession], Engine]:
    path = source_of(work.options)
    with work.progress("sequences", count_events(path)) as bar:
        sessions, engine = cut_sessions(
            read_events(path), _templates(work), _input_settings(work), settings, bar.show
        )
    keys = len({session.key for session in sessions})
    if keys == 1:
        raise ExportError(
            "all events are of one session: name a --session-key that tells executions apart"
        )
    if len(sessions) - keys > _CUT_SHARE * keys:
        work.say(
            f"warning: the session settings cut {keys:,} sessions into {len(sessions):,}: is idle_timeout "
            f"{source.duration(settings.idle_timeout)} too short?"
        )
    return sessions, engine


def _sessions_given(
    work: Work, templates: Sequence[dict[str, Any]]
) -> tuple[list[TrainingSession], list[bool | None]]:
    """Sessions that were cut elsewhere; without times of their own they count as one after the other."""
    path = source_of(work.options)
    number = {str(row["id"]): i for i, row in enumerate(templates)}
    sessions: list[TrainingSession] = []
    labels: list[bool | None] = []
    for at, row in enumerate(read_rows(path)):
        where = f"{path}: session {at + 1}"
        if "session" not in row or not isinstance(row.get("keys"), list):
            raise ExportError(f'{where} is not {{"session": …, "keys": [EventId, …], "label"?: …}}')
        unknown = next((key for key in row["keys"] if str(key) not in number), None)
        if unknown is not None:
            raise ExportError(
                f"{where} has the key {unknown!r}, which is no EventId of {work.options.templates}"
            )
        parts = row["session"] if isinstance(row["session"], list) else [row["session"]]
        first_ns = source.row_time(row.get("time"))
        keys = tuple(number[str(key)] for key in row["keys"])
        sessions.append(
            TrainingSession(tuple(map(as_bytes, parts)), at if first_ns is None else first_ns, keys)
        )
        labels.append(None if row.get("label") is None else is_abnormal(row["label"]))
    if len(sessions) == 1:
        raise ExportError(
            f"{path} holds one session: normal ones can't be told from abnormal ones by it"
        )
    return sessions, labels


def _position_cut(sessions: Sequence[TrainingSession], share: float) -> int | None:
    firsts = sorted(session.first_ns for session in sessions)
    return firsts[int(share * len(firsts))] if share < 1 and firsts else None


def _write_sequences(work: Work, cut: _Cut, facts: dict[str, Any]) -> None:
    def lines() -> Iterator[str]:
        for session, fit, abnormal in zip(cut.sessions, cut.fit, cut.abnormal, strict=True):
            row = {
                "session": [part.decode("utf-8", "surrogateescape") for part in session.key],
                "first_ns": session.first_ns,
                "keys": session.log_keys,
                "label": abnormal,
                "fit": fit,
            }
            yield json.dumps(row) + "\n"

    keys = {session.key for session in cut.sessions}
    facts |= {"sessions": len(keys), "instances": len(cut.sessions), "fitted": sum(cut.fit)}
    work.write("sequences.jsonl", "".join(lines()))
    work.write_json("sequences.json", facts)
    abnormal = sum(label is True for label in cut.abnormal)
    work.say(
        f"sequences: {len(keys):,} sessions ({len(cut.sessions):,} instances), {sum(cut.fit):,} of them to fit on"
        + (f", {abnormal:,} labelled abnormal" if abnormal else "")
    )


def _read_cut(work: Work) -> _Cut:
    cut = _Cut([], [], [])
    with work.file("sequences.jsonl").open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                row = json.loads(line)
                key = tuple(part.encode("utf-8", "surrogateescape") for part in row["session"])
                cut.sessions.append(TrainingSession(key, row["first_ns"], tuple(row["keys"])))
                cut.fit.append(row["fit"])
                cut.abnormal.append(row["label"])
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise ExportError(
                    f"{file.name}: line {number} can't be read ({error}): delete the file"
                ) from None
    return cut


def _training(work: Work) -> list[TrainingSession]:
    cut = _read_cut(work)
    return [session for session, fit in zip(cut.sessions, cut.fit, strict=True) if fit]


# --- train, calibrate ------------------------------------------------------------------------------------------------


def _train(work: Work) -> None:
    from . import to_onnx  # and with it onnx: only here, so that the first stages start fast

    sessions = [session.log_keys for session in _training(work)]
    model, content = to_onnx.fit_onnx(sessions, Hierarchy(_leaves(work)), seed=work.options.seed)
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
        f"train: {len(model.normal):,} distinct normal sessions, {len(model.columns):,} features, {size} as ONNX"
    )


def _calibrate(work: Work) -> None:
    sessions = [session.log_keys for session in _training(work)]
    with work.progress("calibrate") as bar:
        found = calibrate(
            sessions, Hierarchy(_leaves(work)), seed=work.options.seed, on_progress=bar.show
        )
    work.write_json("calibration.json", dataclasses.asdict(found))
    work.say(f"calibrate: threshold {found.threshold:g}. {found.words}")


def _calibration(work: Work) -> Calibration:
    values = work.read_json("calibration.json")
    return Calibration(**values | {"band": tuple(values["band"])})


# --- report, bundle --------------------------------------------------------------------------------------------------


def _report(work: Work) -> None:
    from . import report

    cut, facts = _read_cut(work), work.read_json("sequences.json")
    labels = {
        key_text(s.key): abnormal
        for s, abnormal in zip(cut.sessions, cut.abnormal, strict=True)
        if abnormal is not None
    }
    with work.progress("report") as bar:
        made = report.make_report(
            report.ReportInput(
                name=_bundle_name(work.options),
                source=source_of(work.options).name,
                sessions=cut.sessions,
                rows=_leaves(work),
                input_settings=_input_settings(work),
                session_settings=_settings_of(facts),
                calibration=_calibration(work),
                labels=labels or None,
                cut_ns=facts["fit_before_ns"],
                alerts=_alerts(work, cut),
                records=facts["records"],
                set_aside=facts["set_aside"],
                warnings=work.warnings,
                seed=work.options.seed,
                on_progress=bar.show,
            )
        )
    work.write("report.json", report.to_json(made))
    work.write("report.html", report.render_html(made))
    work.say(report.describe(made).rstrip())


def _alerts(work: Work, cut: _Cut) -> list[dict[str, Any]]:
    """Alerts as the plugin would send them for some of the sessions that were not fitted on, abnormal ones first."""
    with tempfile.TemporaryDirectory(prefix=".trial-", dir=work.path) as folder:
        write_bundle(Path(folder), golden=[], **_content(work))
        trial = load_bundle(folder)
    others = [s for s, fit in zip(cut.sessions, cut.fit, strict=True) if not fit]
    abnormal = {id(s) for s, label in zip(cut.sessions, cut.abnormal, strict=True) if label}
    chosen = sorted(others, key=lambda s: id(s) not in abnormal)[:_ALERT_SESSIONS]
    read = InputSettings(session_key=("session",))
    engine = dataclasses.replace(trial, input_settings=read).engine()
    maker = AlertMaker(trial, Config())
    findings = []
    for session in chosen:
        record = {b"session": b" ".join(session.key)}
        texts = (engine.log_key_text(key).encode() for key in session.log_keys)
        events = [
            (session.first_ns + i, {**record, b"message": text}) for i, text in enumerate(texts)
        ]
        findings += engine.feed("export", events, session.first_ns + len(events))
    return [dict(maker.make(finding).record) for finding in findings + engine.finish()]


def _bundle(work: Work) -> None:
    """Write beside the target and swap, so that there is never half a bundle."""
    output = work.options.output
    if output is None:
        raise ExportError("name where the bundle goes: --output DIR")
    check_output(output)
    staging = Path(tempfile.mkdtemp(prefix=".export-", dir=output.parent))
    try:
        for name in _REPORT:
            shutil.copyfile(work.file(name), staging / name)
        content = _content(work) | {"extra_files": _REPORT}
        write_bundle(staging, golden=[], **content)
        bundle = load_bundle(str(staging))
        write_bundle(
            staging, golden=golden.golden_runs(bundle, _golden_records(work, bundle)), **content
        )
        bundle = load_bundle(str(staging))
        staging.chmod(0o755)
        _swap(staging, output)
    except OSError as error:
        raise ExportError(f"the bundle can't be written to {output}: {error.strerror}") from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    work.say(
        f"bundle: {output} ({bundle.hash}), {len(bundle.golden)} golden runs, {_size(output):,.0f} KB"
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
    """Raise ExportError, before any work is done, unless a bundle can be put there."""
    if output.exists() and not (output / "manifest.json").is_file() and not _is_empty(output):
        raise ExportError(
            f"{output} is there and is no bundle: it is not replaced; name another --output"
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


def _content(work: Work) -> dict[str, Any]:
    """What `write_bundle` takes, but for golden runs and report."""
    leaves, training = _leaves(work), _training(work)
    facts, model, calibration = (
        work.read_json("sequences.json"),
        work.read_json("nested_aware.json"),
        _calibration(work),
    )
    counts = Counter(key for session in training for key in session.log_keys)
    return {
        "name": _bundle_name(work.options),
        "input_settings": _input_settings(work),
        "session_settings": _settings_of(facts),
        "rows": [
            (leaf.template, leaf.entity, leaf.action, leaf.status, leaf.source) for leaf in leaves
        ],
        "counts": [counts[key] for key in range(len(leaves))],
        "patterns": patterns_of((session.log_keys for session in training), Hierarchy(leaves)),
        "training": [session.key for session in training],
        "nested": NestedFiles(
            model=work.file("nested_aware.onnx").read_bytes(),
            columns=[(kind, node) for kind, node in model["columns"]],
            weights=model["weights"],
            normal=model["normal"],
            threshold=calibration.threshold,
            band=calibration.band,
            decimals=DECIMALS,
        ),
        "clearing": calibration.clearing,
        "training_summary": {
            "input": source_of(work.options).name,
            "train_fraction": work.options.train_fraction,
            "seed": work.options.seed,
            "sessions": len(training),
            "events": counts.total(),
        },
    }


def _bundle_name(options: Options) -> str:
    return options.name or (options.output.name if options.output else source_of(options).stem)


def source_of(options: Options) -> Path:
    """The file to learn from. Raises ExportError where none is named."""
    path = options.input or options.sessions
    if path is None:
        raise ExportError(
            "name what to learn from: --input FILE, or --sessions FILE.jsonl with --templates FILE.csv"
        )
    return path


def _settings_of(facts: dict[str, Any]) -> SessionSettings:
    return SessionSettings(
        **facts["settings"] | {"end_templates": tuple(facts["settings"]["end_templates"])}
    )


def _golden_records(work: Work, bundle: Bundle) -> list[dict[str, str]]:
    """Records of a common training session, in invented words."""
    training = [
        session for session in _training(work) if 0 < len(session.log_keys) <= _GOLDEN_EVENTS
    ]
    if not training:
        return []
    wanted = Counter(session.log_keys for session in training).most_common(1)[0][0]
    engine = bundle.engine()
    if work.options.sessions:
        return golden.from_templates(wanted, bundle.input_settings, engine)
    key = next(session.key for session in training if session.log_keys == wanted)
    records = (
        record for _, record in read_events(source_of(work.options)) if _is_of(engine, record, key)
    )
    return golden.invent(islice(records, len(wanted)), bundle.input_settings, engine)


def _is_of(engine: Engine, record: dict[bytes, Any], key: tuple[bytes, ...]) -> bool:
    told = b"\n".join(as_bytes(value) for value in record.values())
    if not any(part in told for part in key):
        return False
    try:
        return key in engine.reader.read(b"export", record)[1]
    except RecordError:
        return False


# --- all of it -------------------------------------------------------------------------------------------------------

STAGES = (
    Stage("mine", _mine, (*_READS, *_INPUT, "train_fraction"), (), ("templates.json",)),
    Stage(
        "hierarchy",
        _hierarchy,
        ("tree", "llm", "llm_model", "llm_base_url"),
        ("templates.json",),
        ("hierarchy.csv",),
    ),
    Stage(
        "sequences",
        _sequences,
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
        _train,
        ("seed",),
        ("templates.json", "hierarchy.csv", "sequences.jsonl"),
        ("nested_aware.onnx", "nested_aware.json"),
    ),
    Stage(
        "calibrate",
        _calibrate,
        ("seed",),
        ("templates.json", "hierarchy.csv", "sequences.jsonl"),
        ("calibration.json",),
    ),
    Stage(
        "report",
        _report,
        ("seed", "name", "output", "train_fraction"),
        (
            *("templates.json", "hierarchy.csv", "sequences.jsonl", "sequences.json"),
            *("nested_aware.onnx", "nested_aware.json", "calibration.json"),
        ),
        _REPORT,
    ),
    Stage("bundle", _bundle, (), (), ()),
)


def fit(work: Work, until: str = "bundle") -> None:
    """Bring a work directory up to date, through the stage `until`.

    Raises ExportError, one line that says what is missing; then no bundle is written, and what stages are done stay.
    """
    # Wrong settings are told before the work is done.
    _session_settings(work.options, _IDLE_TIMEOUT_S)
    _extractor(work)
    names = [stage.name for stage in STAGES]
    work.path.mkdir(parents=True, exist_ok=True)
    run_stages(STAGES[: names.index(until) + 1], work)
