"""Templates → tree (entity, action, status), offline: by word lists and the shape of log sentences.

The tree is a table that a person reads, corrects and feeds back (`write_tree`, `read_tree`). An
extractor that asks an LLM fits the same seam, `HierarchyExtractor`. Words and their order decide,
as an operator would read the line (`sentences.py`):

- *entity*: the logger component; else the label in front (`sshd[<*>]:`,
  `NameSystem.addStoredBlock:`); else the first part of a compound name that several templates begin
  with (`A_SUBMITTED`, see `read_compounds`); else what the sentence is about: its subject, or the
  object of a leading verb (`Receiving block …`);
- *action*: the verb in one form (receiving, received → receive);
- *status*: how it went (failed, refused, timeout, exception …).
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from fluent_krone.core import hierarchy
from fluent_krone.errors import ExportError
from fluent_krone.reading.templates import WILDCARD

from . import words
from .sentences import NONE as NONE
from .sentences import lemma, read_sentence, read_status

_Item = TypeVar("_Item")
# The first line of a tree file.
HEADER = ("template", "entity", "action", "status", "source")
# Text in front of an id, and the noun before that: `block blk_<id>`.
_ID_PREFIX = re.compile(r"([A-Za-z]+) ([A-Za-z]+)[_-]<(?:\*|[a-z]+)>")
_COLOURS = {"entity": "\x1b[1;36m", "action": "\x1b[33m", "bad": "\x1b[31m", "good": "\x1b[32m"}
_NO_COLOUR = "\x1b[0m"


@dataclass(frozen=True, slots=True)
class TreeRow(hierarchy.Leaf):
    """A row of the tree and who wrote it: `offline`, an LLM's name, `operator`."""

    source: str = "offline"


class HierarchyExtractor(Protocol):
    """Gives each template its place in the tree.

    `components[i]` is the logger component of template i, None where it is not known.
    """

    def __call__(
        self, templates: Sequence[str], components: Sequence[str | None] | None = None
    ) -> list[TreeRow]: ...


def clean_component(component: str) -> str:
    """The name an operator uses: the class without its package, no process id, no colon.

    >>> names = ("dfs.DataNode$PacketResponder:", "sshd(pam_unix)[123]:", "rc.sysinit")
    >>> [clean_component(name) for name in names]
    ['PacketResponder', 'sshd', 'rc.sysinit']
    """
    name = re.split(r"[(\[:\s]", WILDCARD.sub("", component).strip(), maxsplit=1)[0].strip(" /-_.")
    last = re.split(r"[.$]", name)[-1]
    if last[:1].isupper():
        name = last
    return name or NONE


def extract(
    templates: Sequence[str], components: Sequence[str | None] | None = None
) -> list[TreeRow]:
    """The tree of `templates`, by rules alone.

    A template may still carry its component in front (`component: …`).

    >>> [row] = extract(["Receiving block <id> src: <ip> dest: <ip>"])
    >>> row.entity, row.action, row.status
    ('block', 'receive', 'none')
    """
    if components is None:
        components = [None] * len(templates)
    texts = list(map(_without, templates, components))
    id_names = _id_names(texts)
    found = []
    for text, component, name in zip(texts, components, read_compounds(texts), strict=True):
        entity, action = read_sentence(text, id_names)
        status = read_status(text)
        if component:
            entity = clean_component(component)
        elif name is not None and action == NONE:
            entity = name.entity
            action = name.action or NONE
            if status == NONE:
                status = name.status or NONE
        found.append((entity or NONE, action, status))
    spelling = _spelling(entity for entity, _, _ in found)
    return [
        TreeRow(template, spelling[entity.lower()], action, status)
        for template, (entity, action, status) in zip(templates, found, strict=True)
    ]


def _without(template: str, component: str | None) -> str:
    if component is None:
        return template
    return template.removeprefix(f"{component.rstrip(':')}: ")


def _id_names(texts: Iterable[str]) -> dict[str, str]:
    """What ids are called: `block blk_<*>` says that `blk_<*>` is a block wherever it stands."""
    seen: dict[str, Counter[str]] = {}
    for text in texts:
        for noun, prefix in _ID_PREFIX.findall(text):
            if noun.lower() not in words.STOP and lemma(noun) in (None, noun.lower()):
                seen.setdefault(prefix.lower(), Counter())[noun.lower()] += 1
    return {
        prefix: min(nouns, key=lambda noun: (-nouns[noun], noun)) for prefix, nouns in seen.items()
    }


def _spelling(names: Iterable[str]) -> dict[str, str]:
    """Lower case → the spelling that is used most, so that `Block` and `block` are one entity."""
    counts = Counter(names)
    return {name.lower(): name for name in sorted(counts, key=lambda name: (counts[name], name))}


def write_tree(leaves: Sequence[TreeRow], path: Path) -> None:
    """The tree as CSV, sorted so that what belongs together stands together."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        ordered = sorted(
            leaves, key=lambda leaf: (leaf.entity.lower(), leaf.action, leaf.status, leaf.template)
        )
        writer.writerows(
            (leaf.template, leaf.entity, leaf.action, leaf.status, leaf.source) for leaf in ordered
        )


def read_tree(path: Path, templates: Sequence[str] | None = None) -> list[TreeRow]:
    """The corrected tree, in the order of `templates` where they are given; empty steps are `none`.

    Raises ExportError with the line and the remedy, also unless it holds exactly `templates`.
    """
    found: dict[str, TreeRow] = {}
    wanted = frozenset(templates or ())
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file)
        if tuple(next(reader, ())) != HEADER:
            raise ExportError(f"{path}: line 1 must be {','.join(HEADER)}")
        for fields in filter(None, reader):
            where = f"{path}: line {reader.line_num}"
            row = _tree_row(fields, where)
            if templates is not None and row.template not in wanted:
                raise ExportError(
                    f"{where}: no such template: {row.template!r}; run `hierarchy` again"
                )
            if row.template in found:
                raise ExportError(f"{where}: the template is listed twice: {row.template!r}")
            found[row.template] = row
    if templates is None:
        return list(found.values())
    if missing := next((template for template in templates if template not in found), None):
        raise ExportError(f"{path}: template is missing: {missing!r}; run `hierarchy` again")
    return [found[template] for template in templates]


def _tree_row(fields: list[str], where: str) -> TreeRow:
    if len(fields) != len(HEADER):
        raise ExportError(
            f"{where} has {len(fields)} fields, not {len(HEADER)}: put quotes around commas"
        )
    template, *steps = fields
    entity, action, status, source = (step.strip() for step in steps)
    return TreeRow(template, entity or NONE, action or NONE, status or NONE, source or "operator")


def show_tree(leaves: Sequence[TreeRow], color: bool) -> str:
    """ROOT → entity → action → status with the number of templates under each."""

    def paint(text: str, kind: str) -> str:
        if not color:
            return text
        return f"{_COLOURS[kind]}{text}{_NO_COLOUR}"

    lines = [f"ROOT ({len(leaves)} templates)"]
    for at_entity, (entity, of_entity) in _branches("", _grouped(leaves, "entity")):
        lines.append(f"{at_entity}{paint(entity, 'entity')} ({len(of_entity)})")
        for at_action, (action, of_action) in _branches(at_entity, _grouped(of_entity, "action")):
            lines.append(f"{at_action}{paint(action, 'action')} ({len(of_action)})")
            by_status = _grouped(of_action, "status")
            for at_leaf, leaf in _branches(
                at_action, [row for _, rows in by_status for row in rows]
            ):
                kind = "good" if leaf.status in words.GOOD else "bad"
                lines.append(f"{at_leaf}{paint(leaf.status, kind)}  {leaf.template}")
    return "\n".join(lines) + "\n"


def _branches(parent: str, items: Sequence[_Item]) -> Iterator[tuple[str, _Item]]:
    """Each item with the lines drawn before it, which go on from its parent's."""
    stem = parent.replace("├─", "│ ").replace("└─", "  ")
    for item in items[:-1]:
        yield f"{stem}├─ ", item
    for item in items[-1:]:
        yield f"{stem}└─ ", item


def _grouped(leaves: Sequence[TreeRow], step: str) -> list[tuple[str, list[TreeRow]]]:
    """Rows by their entity, action or status; large groups first, then by name."""
    groups: dict[str, list[TreeRow]] = {}
    for leaf in leaves:
        groups.setdefault(str(getattr(leaf, step)), []).append(leaf)
    return sorted(groups.items(), key=lambda item: (-len(item[1]), item[0].lower()))


# --- names in front of templates ------------------------------------------------------------------

# Compound names in front of templates (`A_SUBMITTED COMPLETE`): which part says who acts.
#
# Logs of workflows name their events in words that are joined by `_`, and what comes first is the
# part of the system: of `A_SUBMITTED`, `A_ACCEPTED`, `O_CREATED` and `O_SENT`, the entities are `A`
# and `O`. No word list knows these parts; that several templates begin with them tells.

# A part is a name where this many templates begin with it. Two may share a word by chance.
_FEWEST = 3
# A name of joined parts in front of a template: `W_Completeren aanvraag START`.
_COMPOUND = re.compile(r"([A-Za-z][A-Za-z0-9]*)_[A-Za-z0-9_]+(?= |\Z)")
_SEPARATOR = re.compile(r"[ _]")

Words = tuple[str, ...]


class Name(NamedTuple):
    """Who acts, what is done, and how that ended where the name says it; empty where not."""

    entity: str
    action: str
    status: str


def read_compounds(texts: Sequence[str]) -> list[Name | None]:
    """The names in front of templates; None where there is none, or hardly another template has its
    first part.

    >>> names = read_compounds(["A_SENT COMPLETE", "A_pack it START", "A_pack it END", "go"])
    >>> tuple(names[0]), tuple(names[1]), names[3]
    (('A', 'SENT', 'complete'), ('A', 'pack it', 'start'), None)
    """
    firsts = [_first_part(text) for text in texts]
    sharing = Counter(filter(None, firsts))
    names = [
        _words(text) if sharing[first] >= _FEWEST else ()
        for text, first in zip(texts, firsts, strict=True)
    ]
    # How many templates go on after these words.
    beginnings = Counter(words[:size] for words in names for size in range(1, len(words)))
    return [_name(words, beginnings) if words else None for words in names]


def _first_part(text: str) -> str:
    found = _COMPOUND.match(text)
    return found[1] if found else ""


def _words(text: str) -> Words:
    """The words of a template up to its first value."""
    said = WILDCARD.split(text, maxsplit=1)[0]
    return tuple(filter(None, _SEPARATOR.split(said)))


def _name(words: Words, beginnings: Counter[Words]) -> Name:
    """The longest words that templates go on after are entity and action; what follows is how it
    ended."""
    shared = next(
        size for size in range(len(words) - 1, 0, -1) if size == 1 or beginnings[words[:size]] > 1
    )
    end = shared
    if shared == 1:
        end = 2
    return Name(words[0], " ".join(words[1:end]), " ".join(words[end:]).lower())
