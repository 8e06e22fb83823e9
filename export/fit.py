"""From a log file to a bundle: mine · hierarchy · sequences · patterns · golden runs · write."""

from __future__ import annotations

import csv
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from fluent_krone.core.engine import Engine
from fluent_krone.core.hierarchy import Hierarchy
from fluent_krone.core.records import InputSettings
from fluent_krone.core.sessions import SessionSettings
from fluent_krone.detect.bundle import Bundle, load_bundle, write_bundle
from fluent_krone.errors import ExportError
from fluent_krone.inputs import Event, count_events, read_events, read_labels
from fluent_krone.types import LEVELS, Level

from . import golden, hierarchy, mine
from .sequences import TrainingSession, cut_sessions, texts

_GOLDEN_EVENTS = 60
_CUT_SHARE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class FitOptions:
    """What `export fit` is told."""

    input: Path
    output: Path
    input_settings: InputSettings
    session_settings: SessionSettings
    name: str = ""
    labels: Path | None = None
    templates: Path | None = None
    tree: Path | None = None
    train_fraction: float = 1.0
    say: Callable[[str], None] = field(default=print)


def fit(options: FitOptions) -> Bundle:
    """Fit and write a bundle; returns it as loaded from its files.

    Raises ExportError, one line that says what is missing; then nothing is written.
    """
    say = options.say
    cut_ns = _cut_off(options)
    templates = _templates(options, cut_ns)
    say(f"templates: {len(templates)}")
    leaves = _tree(options, templates)
    sessions, engine = cut_sessions(
        read_events(options.input), templates, options.input_settings, options.session_settings
    )
    _check_sessions(sessions, engine, say)
    training = _normal(sessions, options, cut_ns)
    say(f"sessions: {len(sessions):,} instances, fitted on {len(training):,} normal ones")
    tree = Hierarchy(leaves)
    patterns = _patterns(training, tree)
    say("patterns: " + ", ".join(f"{len(patterns[level]):,} {level}" for level in LEVELS))
    content: dict[str, Any] = {
        "name": options.name or options.output.name,
        "input_settings": options.input_settings,
        "session_settings": options.session_settings,
        "rows": [(leaf.template, leaf.entity, leaf.action, leaf.status, leaf.source) for leaf in leaves],
        "counts": _counts(training, len(templates)),
        "patterns": patterns,
        "training": [session.key for session in training],
        "training_summary": {
            "input": options.input.name,
            "train_fraction": options.train_fraction,
            "sessions": len(training),
            "events": sum(len(session.log_keys) for session in training),
        },
    }
    return _write(options, content, _golden_records(options, training, engine))


def _cut_off(options: FitOptions) -> int | None:
    """The time of the event at `train_fraction` of the log; None to train on all of it."""
    if options.train_fraction >= 1:
        return None
    total = count_events(options.input) or sum(1 for _ in read_events(options.input))
    at = next(islice(read_events(options.input), int(options.train_fraction * total), None), None)
    if at is None or at[0] is None:
        raise ExportError(f"{options.input}: train_fraction needs events with times")
    return at[0]


def _templates(options: FitOptions, cut_ns: int | None) -> list[str]:
    if options.templates:
        return read_templates(options.templates)
    pattern = next((part[1:-1] for part in options.input_settings.session_key if part.startswith("/")), None)
    mined = mine.mine(
        texts(_before(options.input, cut_ns), options.input_settings),
        session_pattern=pattern,
        keep_prefix=bool(options.input_settings.component_field),
    )
    if not mined.templates:
        raise ExportError(
            f"{options.input}: no record has a message and a session key: check --message-field, --session-key"
        )
    for warning in mined.warnings:
        options.say(f"warning: {warning}")
    return list(mined.templates)


def _before(path: Path, cut_ns: int | None) -> Iterator[Event]:
    for time_ns, record in read_events(path):
        if cut_ns is None or time_ns is None or time_ns < cut_ns:
            yield time_ns, record


def read_templates(path: Path) -> list[str]:
    """Templates of a CSV with `EventId,EventTemplate`. Raises ExportError when it has no such column."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            texts = [row["EventTemplate"] for row in csv.DictReader(file)]
    except (OSError, KeyError, UnicodeDecodeError) as error:
        raise ExportError(f"templates {path}: needs a column EventTemplate ({error})") from None
    return list(dict.fromkeys(text.strip() for text in texts if text and text.strip()))


def _tree(options: FitOptions, templates: Sequence[str]) -> list[hierarchy.Leaf]:
    if options.tree:
        return hierarchy.read_tree(options.tree, templates)
    components = None
    if options.input_settings.component_field:
        components = [text.split(": ", 1)[0] if ": " in text else None for text in templates]
    return hierarchy.extract(templates, components)


def _check_sessions(sessions: Sequence[TrainingSession], engine: Engine, say: Callable[[str], None]) -> None:
    records, aside = engine.counters["records"], engine.set_aside
    if aside:
        listed = ", ".join(f"{n:,} {reason}" for reason, n in aside.most_common())
        say(f"set aside of {records:,} records: {listed}")
    if not sessions:
        raise ExportError("no session was found: check --session-key and --message-field")
    keys = len({session.key for session in sessions})
    if keys == 1:
        raise ExportError("all events are of one session: name a --session-key that tells executions apart")
    if len(sessions) - keys > _CUT_SHARE * keys:
        say(f"warning: the session settings cut {keys:,} sessions into {len(sessions):,}: is idle_timeout too short?")


def _normal(sessions: Sequence[TrainingSession], options: FitOptions, cut_ns: int | None) -> list[TrainingSession]:
    labels = read_labels(options.labels) if options.labels else {}
    if labels and not any(_name(session) in labels for session in sessions):
        raise ExportError(f"labels {options.labels} name no session of the input, e.g. not {_name(sessions[0])!r}")
    normal = [
        session
        for session in sessions
        if not labels.get(_name(session), False) and (cut_ns is None or session.first_ns < cut_ns)
    ]
    if not normal:
        raise ExportError("no normal session is left to train on")
    return normal


def _name(session: TrainingSession) -> str:
    return " ".join(part.decode("utf-8", "replace") for part in session.key)


def _patterns(training: Sequence[TrainingSession], tree: Hierarchy) -> dict[Level, list[tuple[int, ...]]]:
    seen: dict[Level, set[tuple[int, ...]]] = {level: set() for level in LEVELS}
    for log_keys in {session.log_keys for session in training}:
        for seq in tree.decompose(log_keys):
            seen[seq.level].add(seq.pattern)
    return {level: sorted(seen[level]) for level in LEVELS}


def _counts(training: Sequence[TrainingSession], size: int) -> list[int]:
    counts: Counter[int] = Counter()
    for session in training:
        counts.update(session.log_keys)
    return [counts[log_key] for log_key in range(size)]


def _golden_records(options: FitOptions, training: Sequence[TrainingSession], engine: Engine) -> list[dict[str, str]]:
    """Records of a common training session, in invented words."""
    common = Counter(session.log_keys for session in training if len(session.log_keys) <= _GOLDEN_EVENTS)
    if not common:
        return []
    wanted = common.most_common(1)[0][0]
    key = next(session.key for session in training if session.log_keys == wanted)
    records = (record for _, record in read_events(options.input) if _is_of(engine, record, key))
    return golden.invent(islice(records, _GOLDEN_EVENTS), options.input_settings, engine)


def _is_of(engine: Engine, record: dict[bytes, Any], key: tuple[bytes, ...]) -> bool:
    if key[0] not in b"\n".join(v for v in record.values() if isinstance(v, bytes)):
        return False
    return key in engine.reader.read(b"", record)[1]


def _write(options: FitOptions, content: dict[str, Any], records: list[dict[str, str]]) -> Bundle:
    """Write beside the target and swap, so that there is never half a bundle."""
    options.output.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".export-", dir=options.output.parent))
    try:
        write_bundle(staging, golden=[], **content)
        write_bundle(staging, golden=golden.golden_runs(load_bundle(str(staging)), records), **content)
        bundle = load_bundle(str(staging))
        staging.chmod(0o755)
        if options.output.exists():
            options.output.replace(staging / ".old")
        staging.replace(options.output)
        shutil.rmtree(options.output / ".old", ignore_errors=True)
    except OSError as error:
        raise ExportError(f"the bundle can't be written to {options.output}: {error}") from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return bundle
