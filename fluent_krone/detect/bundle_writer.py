"""Writes a model bundle; `bundle.py` says what its files hold, and reads them."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.cascade import Clearing
from ..core.sessions import SessionSettings
from ..errors import BundleError
from ..reading.records import InputSettings, SessionKey
from ..types import LEVELS, Level
from .bundle import FILES, FLOW_FILE, FORMAT, NESTED_FILES, WITNESS_FILES, Golden, key_hash
from .nested_aware import NestedFiles
from .rates import Rates, rates_to_json
from .witnesses import WitnessFiles

# Log keys are two bytes wide in an open session, and the unknown leaf has one besides.
MAX_TEMPLATES = 65_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleContent:
    """What a bundle is written from.

    `rows` are template, entity, action, status and source; `counts` say how often normal training
    had each of them. `training` are the session keys fitted on. `extra_files` lie in the directory
    already (the report), and are hashed with the others.
    """

    name: str
    input_settings: InputSettings
    session_settings: SessionSettings
    rows: Sequence[Sequence[str]]
    counts: Sequence[int]
    patterns: Mapping[Level, Sequence[tuple[int, ...]]]
    training: Iterable[SessionKey]
    golden: Sequence[Golden]
    nested: NestedFiles | None = None
    steps: WitnessFiles | None = None
    rates: Rates = field(default_factory=Rates)
    clearing: Clearing = field(default_factory=Clearing)
    training_summary: Mapping[str, Any] = field(default_factory=dict)
    extra_files: Sequence[str] = ()
    # For each template, its wildcards that take several words; None: any may (`TemplateMatcher`).
    wide: Sequence[Sequence[int] | None] | None = None
    # Fields that say where a session ran; without any, the usual ones are tried.
    alert_fields: Sequence[str] = ()


def write_bundle(path: Path, content: BundleContent) -> None:
    """Write a bundle's files into `path`, which exists. The same content gives the same bytes.

    Raises BundleError when there are more templates than log keys.
    """
    if len(content.rows) > MAX_TEMPLATES:
        raise BundleError(
            f"there are {len(content.rows)} templates, and at most {MAX_TEMPLATES} fit: put "
            "wildcards where only values differ (--templates)"
        )
    _write_tree(path / "hierarchy.csv", content.rows)
    templates: list[dict[str, Any]] = [
        {"template": row[0], "count": count}
        for row, count in zip(content.rows, content.counts, strict=True)
    ]
    for entry, wide in zip(templates, content.wide or [None] * len(templates), strict=True):
        if wide is not None:
            entry["wide"] = list(wide)
    _write_jsonl(path / "templates.jsonl", templates)
    _write_jsonl(path / "golden.jsonl", map(dataclasses.asdict, content.golden))
    _write_lines(path / "training.txt", sorted({key_hash(key) for key in content.training}))
    patterns = {level: sorted(content.patterns[level]) for level in LEVELS}
    _write_compact(path / "patterns.json", patterns)
    names = [*FILES, *content.extra_files]
    if content.nested is not None:
        names += NESTED_FILES
        fields = dataclasses.asdict(content.nested)
        (path / "nested_aware.onnx").write_bytes(fields.pop("model"))
        _write_compact(path / "nested_aware.json", fields)
    if content.steps is not None:
        names += WITNESS_FILES
        _write_compact(path / "witnesses.json", content.steps.witnesses.to_json())
        _write_compact(path / "budget.json", content.steps.budget_json())
    if content.rates.nodes:
        names.append(FLOW_FILE)
        _write_compact(path / FLOW_FILE, rates_to_json(content.rates))
    hashes = {name: hashlib.sha256((path / name).read_bytes()).hexdigest() for name in names}
    _write_manifest(path / "manifest.json", content, hashes)


def _write_manifest(path: Path, content: BundleContent, hashes: dict[str, str]) -> None:
    manifest = {
        "format": FORMAT,
        "name": content.name,
        "input": dataclasses.asdict(content.input_settings),
        "sessions": dataclasses.asdict(content.session_settings),
        # `none_actions` and `automaton` always have these values. They stay, since the hash of a
        # bundle is that of this text.
        "hierarchy": {"none_actions": "separate"},
        "detector": {"automaton": "off", **dataclasses.asdict(content.clearing)},
        "training": dict(content.training_summary),
        "files": hashes,
    }
    if content.alert_fields:
        manifest["alert_fields"] = list(content.alert_fields)
    text = json.dumps(manifest, indent=2, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def _write_tree(path: Path, rows: Sequence[Sequence[str]]) -> None:
    # The csv module would write a carriage return unquoted, and read it as the end of the row.
    quoting: Any = csv.QUOTE_MINIMAL
    if any("\r" in value for row in rows for value in row):
        quoting = csv.QUOTE_ALL
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n", quoting=quoting)
        writer.writerow(("template", "entity", "action", "status", "source"))
        writer.writerows(rows)


def _write_compact(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, separators=(",", ":")) + "\n", encoding="utf-8")


def _write_jsonl(path: Path, entries: Iterable[Mapping[str, Any]]) -> None:
    _write_lines(path, (json.dumps(entry, ensure_ascii=False) for entry in entries))


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
