"""The model bundle: a directory that `export` writes and every input loads.

    manifest.json    format version, settings, sha256 of every other file
    templates.jsonl  {"template", "count"} a line; `count` is how often normal training had it
    hierarchy.csv    template,entity,action,status,source: the tree, in the order of the templates
    patterns.json    {"status"|"action"|"entity": [[node, …], …]}: the patterns of normal training
    nested_aware.onnx, nested_aware.json
                     the density among normal sessions; its columns, weights, threshold, band and
                     normal sessions
    witnesses.json   order, times, values and levels of the steps of normal training
    flow.json        how often each node of the tree usually comes in a minute
    budget.json      the thresholds for each number of false alarms, and how they were found
    training.txt     hashes of the session keys that were fitted on, one a line
    golden.jsonl     lines that we wrote, with the findings they must give; run at every load

Nothing is pickled, and nothing in a bundle is code. `bundle_writer.py` writes one.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..config import Config
from ..core.cascade import Clearing
from ..core.context import ContextReader
from ..core.engine import Engine, EngineParts, Limits
from ..core.hierarchy import Hierarchy, Leaf
from ..core.parts import Shared
from ..core.sessions import SessionSettings
from ..core.steps import NO_WITNESSES, StepJudge
from ..errors import BundleError, ConfigError, reason_of
from ..reading.events import EventReader
from ..reading.records import InputSettings, SessionKey
from ..reading.values import as_fields
from ..types import LEVELS, Finding
from .budget import FALSE_ALARMS, Budget, budget_from_json, clearing_of
from .local_context import LocalContext
from .nested_aware import NestedAware, NestedFiles
from .order import Order
from .rates import NO_RATES, Rates, rates_from_json
from .steps import Steps
from .witnesses import StepWitnesses, witnesses_from_json

# Raised when the files change their meaning; a bundle of another format is refused.
FORMAT = 4
FILES = ("templates.jsonl", "hierarchy.csv", "patterns.json", "training.txt", "golden.jsonl")
# The witnesses of single steps, and the budget of false alarms that all witnesses share.
WITNESS_FILES = ("witnesses.json", "budget.json")
NESTED_FILES = ("nested_aware.onnx", "nested_aware.json")
# How often the steps of the stream as a whole usually come; older bundles have none.
FLOW_FILE = "flow.json"
# The link in a directory of bundles to the one in use (`learning/bundles.py`).
CURRENT = "current"


def shipped_bundles() -> Path:
    """Where the bundles lie that come with the package.

    That is beside the package in a checkout, and inside it when it is installed.
    """
    package = Path(__file__).parent.parent
    installed = package / "models"
    if installed.is_dir():
        return installed
    return package.parent / "models"


def find_bundle(name: str) -> Path:
    """A bundle's directory, by path or by the name of a shipped bundle.

    A directory of bundles means the one in use. Raises BundleError, which lists the shipped ones.
    """
    for path in (Path(name), Path(name) / CURRENT, shipped_bundles() / name):
        if (path / "manifest.json").is_file():
            # Resolved, because the link may change while the files are read.
            return path.resolve() if path.name == CURRENT else path
    there = sorted(path.parent.name for path in shipped_bundles().glob("*/manifest.json"))
    raise BundleError(
        f"there is no bundle {name!r}: give a directory with a manifest.json, "
        f"or one of {', '.join(there) or 'none'}"
    )


def bundle_files(name: str) -> frozenset[tuple[str, int, int, int]]:
    """What shows that a bundle has changed: name, inode, size and time of each file.

    It is empty while there is no bundle.
    """
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
    """One golden run: records in the bundle's own fields, and the findings that they give.

    A finding is (kind, level, start, end).
    """

    records: tuple[dict[str, Any], ...]
    findings: tuple[tuple[str, str | None, int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A loaded bundle: plain values, shared by the engines that are made from it.

    `hash` is 16 hex digits over every file.
    """

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
    rates: Rates = NO_RATES
    witnesses: StepWitnesses | None = None
    budget: Budget | None = None
    # In 1,000 normal sessions; what the bundle was fitted for.
    false_alarms: float = FALSE_ALARMS
    # Kinds of fault that the bundle hardly finds, as the export measured it.
    blind: tuple[str, ...] = ()
    # Kind of fault → false alarms asked for → share found, as the export measured it.
    detection: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    # For each template, its wildcards that take several words; None: any may (`TemplateMatcher`).
    wide: tuple[tuple[int, ...] | None, ...] | None = None
    # Fields of its records that say where a session ran; None: the usual ones are tried.
    alert_fields: tuple[str, ...] | None = None

    @property
    def order(self) -> Order | None:
        """Which steps normal training had, and after which; older bundles do not say."""
        if self.witnesses is None:
            return None
        return self.witnesses.order

    def thresholds(self, false_alarms: float | None = None) -> dict[str, float]:
        """The thresholds for a number of false alarms; without one, for the bundle's own."""
        if self.budget is None:
            return {}
        if false_alarms is None:
            false_alarms = self.false_alarms
        return self.budget.thresholds(false_alarms)

    def steps(self, false_alarms: float | None = None) -> StepJudge:
        """The judge of single steps; where the bundle has no witnesses, nothing is odd to it."""
        if self.witnesses is None or self.budget is None:
            return NO_WITNESSES
        return Steps(self.hierarchy, self.witnesses, self.budget, self.thresholds(false_alarms))

    def engine(self, config: Config | None = None, shared: Shared | None = None) -> Engine:
        """An engine that serves this bundle, with the operator's settings over the bundle's."""
        config = config or Config()
        return Engine(self._parts(config), self._limits(config), shared)

    def shared(self, config: Config, reads: type[EventReader] = EventReader) -> Shared:
        """What several engines of this bundle can have in common."""
        return Shared(self._parts(config), self._limits(config), reads)

    def _limits(self, config: Config) -> Limits:
        limits = limits_of(config)
        if limits.alert_fields is not None:
            return limits
        return dataclasses.replace(limits, alert_fields=self.alert_fields)

    def _parts(self, config: Config) -> EngineParts:
        # End templates are the bundle's alone: they must be among its templates.
        sessions = _common(config, SessionSettings)
        thresholds = self.thresholds(config.false_alarms)
        nested = self.nested
        clearing = self.clearing
        if nested is not None and thresholds:
            nested = nested.at(thresholds)
            clearing = clearing_of(thresholds)
        return EngineParts(
            templates=self.templates,
            wide=self.wide,
            seen=[count > 0 for count in self.counts],
            hierarchy=self.hierarchy,
            patterns=self.patterns,
            nested=nested,
            clearing=clearing,
            steps=self.steps(config.false_alarms),
            flow_nodes=self.rates.limits(self.hierarchy, config.flow_false_alarms),
            input_settings=self.input_settings.override(**_common(config, InputSettings)),
            session_settings=self.session_settings.override(**sessions),
        )


def limits_of(config: Config) -> Limits:
    """The engine's limits by the operator's settings. Their defaults stand in `Config` alone."""
    return Limits(**_common(config, Limits))


def _common(config: Config, settings: type[Any]) -> dict[str, Any]:
    """The values of those parameters of `config` that a class of settings has a field for."""
    names = {field.name for field in dataclasses.fields(settings)}
    given = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    return {name: given[name] for name in names & given.keys()}


def load_bundle(name: str) -> Bundle:
    """A bundle, once its hashes and versions are right and its golden runs give what they must.

    Raises BundleError, one line that says what is wrong and where.
    """
    path = find_bundle(name)
    try:
        bundle = _read(path)
    except BundleError:
        raise
    except FileNotFoundError as error:
        raise BundleError(f"bundle {path}: {reason_of(error)}; copy the bundle again") from None
    except OSError as error:
        raise BundleError(f"bundle {path}: {reason_of(error)}") from None
    except UnicodeDecodeError as error:
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
            f"bundle {path} has format {manifest.get('format')!r}, and this version reads "
            f"format {FORMAT}: export it again"
        )
    optional = [*NESTED_FILES, *WITNESS_FILES, FLOW_FILE]
    names = [*FILES, *(name for name in optional if name in manifest["files"])]
    content = {name: _verified(path / name, manifest["files"]) for name in names}
    templates = [json.loads(line) for line in _lines(content["templates.jsonl"])]
    table = csv.reader(io.StringIO(content["hierarchy.csv"].decode(), newline=""))
    rows = [Leaf(*row[:4]) for row in list(table)[1:]]
    if [row.template for row in rows] != [entry["template"] for entry in templates]:
        raise BundleError(
            f"bundle {path}: hierarchy.csv and templates.jsonl list different templates: "
            "export it again"
        )
    patterns = json.loads(content["patterns.json"])
    sessions = manifest["sessions"]
    hierarchy = Hierarchy(rows)
    nested = None
    if NESTED_FILES[0] in content:
        nested = _nested(content, hierarchy, path)
    witnesses: dict[str, Any] = {}
    if WITNESS_FILES[0] in content:
        witnesses = _witnesses(content, hierarchy)
    if FLOW_FILE in content:
        witnesses["rates"] = rates_from_json(json.loads(content[FLOW_FILE]))
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
        nested=nested,
        clearing=Clearing(
            detector["patterns_clear"], detector["nested_clears"], detector["counts_flag"]
        ),
        training=frozenset(content["training.txt"].decode().split()),
        golden=tuple(_golden(json.loads(line)) for line in _lines(content["golden.jsonl"])),
        wide=tuple(map(_wide, templates)),
        alert_fields=_alert_fields(manifest),
        **witnesses,
    )


def _witnesses(content: dict[str, bytes], hierarchy: Hierarchy) -> dict[str, Any]:
    declared = json.loads(content["budget.json"])
    return {
        "witnesses": witnesses_from_json(json.loads(content["witnesses.json"]), hierarchy),
        "budget": budget_from_json(declared["budget"]),
        "false_alarms": float(declared["false_alarms"]),
        "blind": tuple(declared["blind"]),
        "detection": declared.get("detection") or {},
    }


def _wide(entry: dict[str, Any]) -> tuple[int, ...] | None:
    """The wildcards of a template that take several words; older bundles do not say."""
    wide = entry.get("wide")
    if wide is None:
        return None
    return tuple(wide)


def _alert_fields(manifest: dict[str, Any]) -> tuple[str, ...] | None:
    """The fields that say where a session ran, where the export found any."""
    found = manifest.get("alert_fields")
    if found is None:
        return None
    # A name that is none is refused here, and not by the first engine.
    ContextReader(found)
    return tuple(found)


def _nested(content: dict[str, bytes], hierarchy: Hierarchy, path: Path) -> NestedAware:
    declared = json.loads(content["nested_aware.json"])
    low, high = declared["band"]
    files = NestedFiles(
        model=content["nested_aware.onnx"],
        columns=[(kind, node) for kind, node in declared["columns"]],
        weights=declared["weights"],
        normal=declared["normal"],
        threshold=declared["threshold"],
        band=(low, high),
        decimals=declared["decimals"],
        costs=declared["costs"],
        number_costs=declared.get("number_costs", ()),
        proving=declared.get("proving", False),
        needs=declared.get("needs"),
        loops=declared.get("loops", ()),
    )
    return NestedAware(hierarchy, files, where=str(path / "nested_aware.onnx"))


def _verified(path: Path, hashes: dict[str, str]) -> bytes:
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != hashes.get(path.name):
        raise BundleError(f"bundle file {path} was changed after the export: copy the bundle again")
    return content


def _lines(content: bytes) -> list[str]:
    # Not splitlines, since a template may hold U+2028 and other line ends of Unicode.
    return content.decode().split("\n")[:-1]


def _golden(entry: dict[str, Any]) -> Golden:
    findings = tuple((kind, level, start, end) for kind, level, start, end in entry["findings"])
    return Golden(records=tuple(entry["records"]), findings=findings)


def golden_findings(bundle: Bundle, records: Sequence[dict[str, Any]]) -> list[Finding]:
    """What a bundle finds in golden records, one second apart, under its own settings."""
    timeless = dataclasses.replace(bundle.input_settings, time_field=None)
    # A few lines are no stream in which a change could show.
    without = Config(change_settle=0.0)
    engine = dataclasses.replace(bundle, input_settings=timeless).engine(without)
    start_ns = 1_600_000_000 * 10**9
    events = [(start_ns + i * 10**9, as_fields(record)) for i, record in enumerate(records)]
    return engine.feed("golden", events, start_ns + len(events) * 10**9) + engine.finish()


def outline(findings: Iterable[Finding]) -> tuple[tuple[str, str | None, int, int], ...]:
    """(kind, level, start, end) of each finding: what golden runs are compared by."""
    out = []
    for finding in findings:
        level: str | None = None
        start = 0
        end = 1
        if finding.verdict is not None:
            seq = finding.verdict.seq
            level = seq.level
            start = seq.start
            end = seq.end
        elif finding.deviations:
            level = finding.deviations[0].level
            start = finding.deviations[0].event
            end = start + 1
        out.append((finding.kind, level, start, end))
    return tuple(out)


def check_golden(bundle: Bundle, where: str) -> None:
    """Raise BundleError unless every golden run gives what it must."""
    for number, golden in enumerate(bundle.golden, start=1):
        got = outline(golden_findings(bundle, golden.records))
        if got != golden.findings:
            raise BundleError(
                f"bundle {where}: this version gives other verdicts than the one that exported "
                f"it: export it again (golden run {number} gives {list(got)}, expected "
                f"{list(golden.findings)})"
            )
