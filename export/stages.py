"""The machinery of an export's stages.

Each stage reads files of a work directory and writes others. It is skipped when nothing that it
depends on has changed. A stage's mark is a hash of the options that it uses, of its input files
(name, size, date) and of the contents of what earlier stages wrote. So a file that was corrected by
hand stays as it is, and the stages after it run again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from fluent_krone.config import default_of
from fluent_krone.detect.budget import FALSE_ALARMS
from fluent_krone.errors import ExportError
from fluent_krone.inputs import find_files

# Version of the files in a work directory. Another number makes every stage run again, so it must
# grow whenever a stage learns something new.
_VERSION = 2
# The file that holds the marks of finished stages.
_STATE = "stages.json"
# The file that holds the options given so far.
_OPTIONS = "options.json"
# Characters of a progress bar.
_BAR = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningOptions:
    """What an export learns from, and how a record is read; None where it decides by itself."""

    # Files, directories and patterns; one alone may be given as it is.
    input: Path | tuple[Path, ...] | None = None
    sessions: Path | None = None
    templates: Path | None = None
    labels: Path | None = None
    train_fraction: float = 1.0
    session_key: tuple[str, ...] = ()
    message_field: str | None = None
    component_field: str | None = None
    time_field: str | None = None
    time_format: str | None = None
    timezone: str | None = None
    level_field: str | None = None
    line_format: str | None = None
    # None: the log decides; an empty tuple: none.
    facet_fields: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Options(LearningOptions):
    """All options of an export; None where it decides by itself."""

    idle_timeout: float | None = None
    window: float = 0.0
    max_age: float = 0.0
    max_events: int = 10_000
    allowed_lateness: float = 0.0
    end_templates: tuple[str, ...] = ()
    tree: Path | None = None
    llm: str | None = None
    llm_model: str = default_of("explain_model")
    llm_base_url: str | None = None
    llm_cache: Path | None = None
    llm_timeout: float = 60.0
    llm_retries: int = 2
    llm_concurrency: int = 1
    seed: int = 0
    # In 1,000 normal sessions, all kinds of alerts together.
    false_alarms: float = FALSE_ALARMS
    # Share of the injected faults that the bundle must find; 0 for no demand.
    require: float = 0.0
    # A bundle that knows how often steps usually come, where the input is a sample of the stream.
    usual_of: Path | None = None
    name: str = ""
    output: Path | None = None

    def to_json(self) -> dict[str, Any]:
        """The options that differ from their defaults.

        Paths are absolute, so that a later command may run in another directory.
        """
        values: dict[str, Any] = {}
        for field_ in dataclasses.fields(self):
            value = getattr(self, field_.name)
            if value == field_.default:
                continue
            values[field_.name] = _absolute(value)
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Options:
        """The options that `to_json` turned into `values`, read back from JSON."""
        return cls(
            **{name: _PATHS_AND_TUPLES.get(name, _as_is)(value) for name, value in values.items()}
        )


def _absolute(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value.absolute())
    if isinstance(value, tuple):
        return [_absolute(one) for one in value]
    return value


def _as_is(value: Any) -> Any:
    return value


def _paths(value: Any) -> Path | tuple[Path, ...]:
    if isinstance(value, str | Path):
        return Path(value)
    return tuple(map(Path, value))


_PATHS_AND_TUPLES: dict[str, Callable[[Any], Any]] = {
    "input": _paths,
    **dict.fromkeys(
        ("sessions", "labels", "templates", "tree", "llm_cache", "output", "usual_of"), Path
    ),
    **dict.fromkeys(("session_key", "end_templates", "facet_fields"), tuple),
}


def load_options(work: Path, given: Mapping[str, Any]) -> Options:
    """The options remembered in a work directory, overridden by those given now."""
    path = work / _OPTIONS
    try:
        before = {}
        if path.exists():
            before = json.loads(path.read_text(encoding="utf-8"))
        return Options.from_json({**before, **given})
    except (ValueError, TypeError) as error:
        raise ExportError(
            f"{path} can't be read ({error}): delete it and give the options again"
        ) from None


def save_options(work: Path, options: Options) -> None:
    """Remember the options for later commands in the same work directory."""
    work.mkdir(parents=True, exist_ok=True)
    Work(work, options).write_json(_OPTIONS, options.to_json())


@dataclass(slots=True)
class Work:
    """A work directory, the options, and where messages go."""

    path: Path
    options: Options
    say: Callable[[str], None] = field(default=print)
    terminal: TextIO = field(default_factory=lambda: sys.stderr)
    warnings: list[str] = field(default_factory=list)
    # Those of the warnings that this run has said, so that none is said twice.
    said: set[str] = field(default_factory=set)

    def file(self, name: str) -> Path:
        return self.path / name

    def warn(self, text: str) -> None:
        """Say a warning once, and keep it for the report card."""
        if text not in self.warnings:
            self.warnings.append(text)
        if text not in self.said:
            self.said.add(text)
            self.say(f"warning: {text}")

    def read_json(self, name: str) -> Any:
        try:
            return json.loads(self.file(name).read_text(encoding="utf-8"))
        except ValueError as error:
            raise ExportError(
                f"{self.file(name)} can't be read ({error}): correct it, or delete it"
            ) from None

    def write_json(self, name: str, value: Any) -> None:
        self.write(name, json.dumps(value, ensure_ascii=False, indent=1) + "\n")

    def write(self, name: str, content: str | bytes) -> None:
        """Write a file atomically: on an error the old file stays as it was."""
        data = content
        if isinstance(data, str):
            data = data.encode("utf-8", "replace")
        temporary = self.file(f".{name}")
        try:
            temporary.write_bytes(data)
            temporary.replace(self.file(name))
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise ExportError(f"{self.file(name)} can't be written: {error.strerror}") from None

    def progress(self, what: str, total: int | None = None) -> Progress:
        """A progress bar, which is drawn only on a terminal."""
        return Progress(self.terminal, what, total)


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: the options and files that it depends on, and the files that it writes."""

    name: str
    run: Callable[[Work], None]
    uses: tuple[str, ...]
    reads: tuple[str, ...]
    writes: tuple[str, ...]

    def mark(self, work: Work) -> str:
        """A hash of all that the stage depends on. Raises ExportError if a file is missing."""
        options = {name: _option_mark(name, getattr(work.options, name)) for name in self.uses}
        files = {name: _file_hash(work.file(name)) for name in self.reads}
        return hashlib.sha256(
            json.dumps([_VERSION, self.name, options, files]).encode()
        ).hexdigest()[:16]


def run_stages(stages: Sequence[Stage], work: Work) -> None:
    """Bring the files of all `stages` up to date, in order."""
    state = _load_state(work)
    for stage in stages:
        mark = stage.mark(work)
        before = state.get(stage.name)
        there = stage.writes and all(work.file(name).exists() for name in stage.writes)
        if before and there and before["mark"] == mark:
            work.warnings += before["warnings"]
            work.say(f"{stage.name}: unchanged")
            continue
        already = len(work.warnings)
        stage.run(work)
        state[stage.name] = {"mark": mark, "warnings": work.warnings[already:]}
        work.write_json(_STATE, state)


def _load_state(work: Work) -> dict[str, Any]:
    try:
        state = json.loads(work.file(_STATE).read_text(encoding="utf-8"))
        return {
            name: {"mark": str(done["mark"]), "warnings": list(done["warnings"])}
            for name, done in state.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _option_mark(name: str, value: Any) -> Any:
    if name == "input" and value is not None:
        return [_file_mark(name, path) for path in find_files(value)]
    if not isinstance(value, Path) or name in ("output", "llm_cache"):
        return str(value)
    return _file_mark(name, value)


def _file_mark(name: str, value: Path) -> list[Any]:
    try:
        found = value.stat()
    except OSError as error:
        raise ExportError(f"--{name} {value}: {error.strerror}") from None
    return [str(value.absolute()), found.st_size, found.st_mtime_ns]


def _file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Progress:
    """A line that is redrawn at most once per percent, and only on a terminal."""

    def __init__(self, stream: TextIO, what: str, total: int | None = None) -> None:
        self._stream: TextIO | None = None
        if stream.isatty():
            self._stream = stream
        self._what = what
        self._total = total
        self._shown = ""

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream and self._shown:
            print("\r\x1b[K", end="", file=self._stream, flush=True)

    def show(self, done: int, total: int | None = None) -> None:
        total = total or self._total
        if self._stream is None:
            return
        text = f"{done:,}"
        if total:
            percent = 100 * done // total
            text = f"[{'█' * (_BAR * percent // 100):<{_BAR}}] {percent:3}%"
        if text != self._shown:
            print(f"\r{self._what} {text}", end="", file=self._stream, flush=True)
            self._shown = text
