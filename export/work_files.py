"""Reads back what the stages of an export left in their work directory."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fluent_krone.core.sessions import SessionSettings
from fluent_krone.errors import ExportError
from fluent_krone.reading.records import InputSettings

from . import hierarchy
from .calibrate import Calibration
from .sequences import TrainingSession
from .stages import Options, Work

# What a person may write into a leaf's template where the mined one has a wildcard.
_FILLED = r"\S+?"
WILDCARD_TEXT = re.compile(r"<(?:\*|[a-z]+)>")


def source_of(options: Options) -> Path:
    """The file to learn from, the first one of several; it names the bundle.

    Raises ExportError where no option names one.
    """
    path = options.input or options.sessions
    if isinstance(path, tuple):
        path = path[0]
    if path is None:
        raise ExportError(
            "say what to learn from: --input FILE, "
            "or --sessions FILE.jsonl and --templates FILE.csv"
        )
    return path


def bundle_name(options: Options) -> str:
    """The bundle's name: as given, or that of the output, or that of the input."""
    if options.name:
        return options.name
    if options.output:
        return options.output.name
    return source_of(options).stem


def rows_of(work: Work) -> list[dict[str, Any]]:
    """The templates that were mined, with what is known of each."""
    rows: list[dict[str, Any]] = work.read_json("templates.json")["templates"]
    return rows


def templates_of(work: Work) -> list[str]:
    """The templates of the tree, which may have other leaves for facets than were found."""
    return [leaf.template for leaf in leaves_of(work)]


def wide_of(work: Work) -> list[tuple[int, ...] | None]:
    """For each template of the tree, its wildcards that take several words; None: all may."""
    wide = {row["template"]: tuple(row["wide"]) for row in rows_of(work) if "wide" in row}
    return [wide.get(template) for template in templates_of(work)]


def input_settings_of(work: Work) -> InputSettings:
    """How the input is read, as the stage `mine` found it."""
    values = work.read_json("templates.json")["input"]
    return InputSettings(**values | {"session_key": tuple(values["session_key"])})


def leaves_of(work: Work) -> list[hierarchy.TreeRow]:
    """The leaves of the tree, as persons corrected it. Raises ExportError as `read_tree`."""
    return read_leaves(work.file("hierarchy.csv"), rows_of(work))


def read_leaves(path: Path, rows: list[dict[str, Any]]) -> list[hierarchy.TreeRow]:
    """The leaves of a tree file, in the order of the templates that were mined.

    Leaves that stand for values of facets may have been taken out of the file, and others put in: a
    template that has a value where a mined one has a wildcard. Raises ExportError as `read_tree`.
    """
    found = {leaf.template: leaf for leaf in hierarchy.read_tree(path)}
    mined = [row["template"] for row in rows]
    optional = {row["template"] for row in rows if "of" in row}
    kept = [text for text in mined if text in found or text not in optional]
    forms = [re.compile(_FILLED.join(map(re.escape, WILDCARD_TEXT.split(text)))) for text in mined]
    added = [
        text for text in found if text not in mined and any(form.fullmatch(text) for form in forms)
    ]
    return hierarchy.read_tree(path, [*kept, *added])


@dataclass(frozen=True, slots=True)
class Cut:
    """All session instances of the input; for each, whether to fit on it, and its label."""

    sessions: list[TrainingSession]
    fit: list[bool]
    abnormal: list[bool | None]

    @property
    def training(self) -> list[TrainingSession]:
        """The sessions to fit on."""
        return [session for session, fit in zip(self.sessions, self.fit, strict=True) if fit]

    @property
    def is_labelled(self) -> bool:
        """Whether labels say of each session to fit on that it is normal."""
        labels = [label for label, fit in zip(self.abnormal, self.fit, strict=True) if fit]
        return all(label is False for label in labels)


def read_cut(work: Work) -> Cut:
    """What the stage `sequences` wrote. Raises ExportError for a line that cannot be read."""
    cut = Cut([], [], [])
    with work.file("sequences.jsonl").open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                row = json.loads(line)
                key = tuple(part.encode("utf-8", "surrogateescape") for part in row["session"])
                cut.sessions.append(
                    TrainingSession(
                        key,
                        row["first_ns"],
                        tuple(row["keys"]),
                        tuple(row["gaps_ns"]),
                        _values_of(row["values"]),
                        tuple(row["levels"]),
                    )
                )
                cut.fit.append(row["fit"])
                cut.abnormal.append(row["label"])
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise ExportError(
                    f"{file.name}: line {number} can't be read ({error}): delete the file"
                ) from None
    return cut


def _values_of(rows: list[list[str]]) -> tuple[tuple[bytes, ...], ...]:
    return tuple(
        tuple(value.encode("utf-8", "surrogateescape") for value in of_event) for of_event in rows
    )


def training_of(work: Work) -> list[TrainingSession]:
    """The sessions to fit on."""
    return read_cut(work).training


def session_settings_of(facts: dict[str, Any]) -> SessionSettings:
    """How sessions are cut, as `sequences.json` has it."""
    return SessionSettings(
        **facts["settings"] | {"end_templates": tuple(facts["settings"]["end_templates"])}
    )


def calibration_of(work: Work) -> Calibration:
    """What the stage `calibrate` wrote."""
    values = work.read_json("calibration.json")
    tuples = {name: tuple(values[name]) for name in ("band", "left_out")}
    return Calibration(**values | tuples)


def kept_of(work: Work) -> list[TrainingSession]:
    """The training sessions but for those that the calibration found beyond all likelihood."""
    left_out = set(calibration_of(work).left_out)
    sessions = training_of(work)
    return [session for number, session in enumerate(sessions) if number not in left_out]
