"""The model bundle: a directory that `export` writes and every door loads.

    manifest.json    format version, settings, sha256 of every other file
    templates.jsonl  {"template", "count"} a line; `count` is how often normal training had it
    hierarchy.csv    template,entity,action,status,source: the tree, rows in the order of the templates
    patterns.json    {"status"|"action"|"entity": [[node, …], …]}: what normal training had at each level
    nested_aware.onnx, nested_aware.json
                     the density among normal sessions; its columns, weights, threshold, band and normal sessions
    training.txt     hashes of the session keys fitted on, one a line
    golden.jsonl     lines that we wrote, with the findings they must give; run at every load

Nothing is pickled; nothing in a bundle is code.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import Config
from ..core.cascade import Clearing
from ..core.engine import Engine, Limits
from ..core.hierarchy import Hierarchy, Leaf
from ..core.sessions import SessionSettings
from ..errors import BundleError, ConfigError
from ..reading.records import InputSettings, SessionKey, as_fields
from ..types import LEVELS, Finding, Level
from .local_context import LocalContext
from .nested_aware import NestedAware

FORMAT = 2
FILES = ("templates.jsonl", "hierarchy.csv", "patterns.json", "training.txt", "golden.jsonl")
NESTED_FILES = ("nested_aware.onnx", "nested_aware.json")
MAX_TEMPLATES = 65_000  # log keys are two bytes wide in an open session


def shipped_bundles() -> Path:
    """Where the bundles that come with the package lie: beside it in a checkout, inside it when installed."""
    package = Path(__file__).parent.parent
    installed = package / "models"
    return installed if installed.is_dir() else package.parent / "models"


def find_bundle(name: str) -> Path:
    """A bundle's directory, by path or by the name of a shipped one. Raises BundleError with the names there are."""
    for path in (Path(name), shipped_bundles() / name):
        if (path / "manifest.json").is_file():
            return path
    there = sorted(path.parent.name for path in shipped_bundles().glob("*/manifest.json"))
    raise BundleError(
        f"no bundle {name!r}: give a directory with a manifest.json, or one of {', '.join(there) or 'none'}"
    )


def bundle_files(name: str) -> frozenset[tuple[str, int, int, int]]:
    """What tells that a bundle has changed: name, inode, size and time of each file; empty while there is none."""
    try:
        found = [(path.name, path.stat()) for path in find_bundle(name).iterdir()]
    except (BundleError, OSError):
        return frozenset()
    return frozenset((name, stat.st_ino, stat.st_size, stat.st_mtime_ns) for name, stat in found)


def key_hash(key: SessionKey) -> str:
    """How a session key stands in `training.txt`: 16 hex digits."""
    return hashlib.blake2b(b"\x00".join(key), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """One golden run: records in the bundle's own fields, and (kind, level, start, end) of each finding they give."""

    records: tuple[dict[str, Any], ...]
    findings: tuple[tuple[str, str | None, int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A loaded bundle: plain values, shared by the engines made from it. `hash` is 16 hex digits over every file."""

    name: str
    hash: str
    input_settings: InputSettings
    session_settings: SessionSettings
    templates: tuple[str, ...]
    counts: tuple[int, ...]
    hierarchy: Hierarchy
    patterns: LocalContext
    nested: NestedAware | None
    clearing: Clearing
    training: frozenset[str]
    golden: tuple[Golden, ...]

    def engine(self, config: Config | None = None) -> Engine:
        """An engine that serves this bundle, with the operator's settings over the bundle's."""
        config = config or Config()
        overrides = dataclasses.asdict(config)
        names = {f.name for f in dataclasses.fields(InputSettings)}
        input_settings = self.input_settings.override(**{n: overrides[n] for n in names})
        names = {f.name for f in dataclasses.fields(SessionSettings)} - {"end_templates"}
        session_settings = self.session_settings.override(**{n: overrides[n] for n in names})
        limits = Limits(**{f.name: overrides[f.name] for f in dataclasses.fields(Limits)})
        return Engine(
            templates=self.templates,
            seen=[count > 0 for count in self.counts],
            hierarchy=self.hierarchy,
            patterns=self.patterns,
            nested=self.nested,
            clearing=self.clearing,
            input_settings=input_settings,
            session_settings=session_settings,
            limits=limits,
        )


def load_bundle(name: str) -> Bundle:
    """Load and verify: hashes, versions, and that the golden lines give the golden findings.

    Raises BundleError, one line that says what is wrong and where.
    """
    path = find_bundle(name)
    try:
        bundle = _read(path)
    except BundleError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"bundle {path}: {error}") from None
    except (
        ValueError,
        KeyError,
        TypeError,
        IndexError,
        AttributeError,
        csv.Error,
        ConfigError,
    ) as error:
        raise BundleError(
            f"bundle {path} is malformed ({error.__class__.__name__}: {error}): export it again"
        ) from None
    check_golden(bundle, str(path))
    return bundle


def _read(path: Path) -> Bundle:
    raw = (path / "manifest.json").read_bytes()
    manifest = json.loads(raw)
    if manifest.get("format") != FORMAT:
        raise BundleError(
            f"bundle {path} has format {manifest.get('format')!r}, this version reads {FORMAT}: export it again"
        )
    has_nested = NESTED_FILES[0] in manifest["files"]
    names = (*FILES, *(NESTED_FILES if has_nested else ()))
    content = {name: _verified(path / name, manifest["files"]) for name in names}
    templates = [json.loads(line) for line in _lines(content["templates.jsonl"])]
    table = csv.reader(io.StringIO(content["hierarchy.csv"].decode(), newline=""))
    rows = [Leaf(*row[:4]) for row in list(table)[1:]]
    if [row.template for row in rows] != [entry["template"] for entry in templates]:
        raise BundleError(
            f"bundle {path}: hierarchy.csv and templates.jsonl list different templates: export it again"
        )
    patterns = json.loads(content["patterns.json"])
    sessions = manifest["sessions"]
    hierarchy = Hierarchy(rows)
    detector = manifest["detector"]
    return Bundle(
        name=manifest["name"],
        hash=hashlib.sha256(raw).hexdigest()[:16],
        input_settings=InputSettings(
            **manifest["input"] | {"session_key": tuple(manifest["input"]["session_key"])}
        ),
        session_settings=SessionSettings(
            **sessions | {"end_templates": tuple(sessions["end_templates"])}
        ),
        templates=tuple(entry["template"] for entry in templates),
        counts=tuple(entry["count"] for entry in templates),
        hierarchy=hierarchy,
        patterns=LocalContext({level: patterns[level] for level in LEVELS}),
        nested=_nested(content, hierarchy, path) if has_nested else None,
        clearing=Clearing(
            detector["patterns_clear"], detector["nested_clears"], detector["counts_flag"]
        ),
        training=frozenset(content["training.txt"].decode().split()),
        golden=tuple(_golden(json.loads(line)) for line in _lines(content["golden.jsonl"])),
    )


def _nested(content: dict[str, bytes], hierarchy: Hierarchy, path: Path) -> NestedAware:
    declared = json.loads(content["nested_aware.json"])
    low, high = declared["band"]
    return NestedAware(
        hierarchy,
        content["nested_aware.onnx"],
        columns={(kind, node): column for column, (kind, node) in enumerate(declared["columns"])},
        weights=declared["weights"],
        normal=declared["normal"],
        threshold=declared["threshold"],
        band=(low, high),
        decimals=declared["decimals"],
        where=str(path / "nested_aware.onnx"),
    )


def _verified(path: Path, hashes: dict[str, str]) -> bytes:
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != hashes.get(path.name):
        raise BundleError(f"bundle file {path} was changed after the export: copy the bundle again")
    return content


def _lines(content: bytes) -> list[str]:
    return content.decode().split("\n")[
        :-1
    ]  # not splitlines: a template may hold U+2028 and the like


def _golden(entry: dict[str, Any]) -> Golden:
    findings = tuple((kind, level, start, end) for kind, level, start, end in entry["findings"])
    return Golden(records=tuple(entry["records"]), findings=findings)


def golden_findings(bundle: Bundle, records: Sequence[dict[str, Any]]) -> list[Finding]:
    """What a bundle finds in golden records, one second apart, under its own settings."""
    timeless = dataclasses.replace(bundle.input_settings, time_field=None)
    engine = dataclasses.replace(bundle, input_settings=timeless).engine()
    start_ns = 1_600_000_000 * 10**9
    events = [(start_ns + i * 10**9, as_fields(record)) for i, record in enumerate(records)]
    return engine.feed("golden", events, start_ns + len(events) * 10**9) + engine.finish()


def outline(findings: Iterable[Finding]) -> tuple[tuple[str, str | None, int, int], ...]:
    """(kind, level, start, end) of each finding: what golden runs are compared by."""
    out = []
    for finding in findings:
        seq = finding.verdict.seq if finding.verdict else None
        out.append(
            (finding.kind, seq.level, seq.start, seq.end) if seq else (finding.kind, None, 0, 1)
        )
    return tuple(out)


def check_golden(bundle: Bundle, where: str) -> None:
    """Raise BundleError unless every golden run gives what it must."""
    for number, golden in enumerate(bundle.golden, start=1):
        got = outline(golden_findings(bundle, golden.records))
        if got != golden.findings:
            raise BundleError(
                f"bundle {where}: golden run {number} gives {list(got)}, expected {list(golden.findings)}: "
                "this version judges otherwise than the one that exported it; export it again"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class NestedFiles:
    """A trained Nested-Aware detector as it is written: the model, and what the runtime needs beside it.

    `columns` are (kind, node), one a column; `weights` has one more, for what has no column; `normal` are the log keys
    of the normal sessions that the model's `nearest` counts through.
    """

    model: bytes
    columns: Sequence[tuple[str, int]]
    weights: Sequence[float]
    normal: Sequence[Sequence[int]]
    threshold: float
    band: tuple[float, float]
    decimals: int


def write_bundle(
    path: Path,
    *,
    name: str,
    input_settings: InputSettings,
    session_settings: SessionSettings,
    rows: Sequence[Sequence[str]],
    counts: Sequence[int],
    patterns: Mapping[Level, Sequence[tuple[int, ...]]],
    training: Iterable[SessionKey],
    golden: Sequence[Golden],
    nested: NestedFiles | None = None,
    clearing: Clearing | None = None,
    training_summary: dict[str, Any] | None = None,
    extra_files: Sequence[str] = (),
) -> None:
    """Write a bundle's files into `path` (which exists); `rows` are template, entity, action, status, source.

    `extra_files` lie in `path` already (the report) and are hashed along. The same input gives the same bytes.
    """
    clearing = clearing or Clearing()
    if len(rows) > MAX_TEMPLATES:
        raise BundleError(
            f"{len(rows)} templates, at most {MAX_TEMPLATES} fit: put wildcards where only values differ (--templates)"
        )
    with (path / "hierarchy.csv").open("w", newline="", encoding="utf-8") as file:
        has_return = any(
            "\r" in field for row in rows for field in row
        )  # which csv would write unquoted
        writer = csv.writer(
            file, lineterminator="\n", quoting=csv.QUOTE_ALL if has_return else csv.QUOTE_MINIMAL
        )
        writer.writerow(("template", "entity", "action", "status", "source"))
        writer.writerows(rows)
    templates = (
        {"template": row[0], "count": count} for row, count in zip(rows, counts, strict=True)
    )
    _write_lines(path / "templates.jsonl", (json.dumps(t, ensure_ascii=False) for t in templates))
    _write_lines(
        path / "golden.jsonl",
        (json.dumps(dataclasses.asdict(g), ensure_ascii=False) for g in golden),
    )
    _write_lines(path / "training.txt", sorted({key_hash(key) for key in training}))
    ordered = {level: sorted(patterns[level]) for level in LEVELS}
    (path / "patterns.json").write_text(
        json.dumps(ordered, separators=(",", ":")) + "\n", encoding="utf-8"
    )
    names = [*FILES, *extra_files]
    if nested is not None:
        names += NESTED_FILES
        (path / "nested_aware.onnx").write_bytes(nested.model)
        fields = {
            name: value for name, value in dataclasses.asdict(nested).items() if name != "model"
        }
        declared = json.dumps(fields, separators=(",", ":"))
        (path / "nested_aware.json").write_text(declared + "\n", encoding="utf-8")
    manifest = {
        "format": FORMAT,
        "name": name,
        "input": dataclasses.asdict(input_settings),
        "sessions": dataclasses.asdict(session_settings),
        # `none_actions` and `automaton` are always so; they stay since a bundle's hash is of this text.
        "hierarchy": {"none_actions": "separate"},
        "detector": {"automaton": "off", **dataclasses.asdict(clearing)},
        "training": training_summary or {},
        "files": {file: hashlib.sha256((path / file).read_bytes()).hexdigest() for file in names},
    }
    (path / "manifest.json").write_text(
        json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
