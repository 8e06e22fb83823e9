"""The stage `hierarchy`: from templates to the tree of entities, actions and statuses."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from fluent_krone.core.hierarchy import is_none
from fluent_krone.reading.accessor import label

from . import hierarchy
from .stages import Work
from .work_files import input_settings_of, read_leaves, rows_of

# How the summary names the sources of rows; a model is named by itself.
_WHO = {"offline": "the rules", "operator": "you"}
# The first field of a message that is made of fields: `event=login method=POST`.
_FIRST_VALUE = re.compile(r"(?:\S+: )?[\w.@$-]+=([\w.-]+)")


def run_hierarchy(work: Work) -> None:
    options = work.options
    rows = rows_of(work)
    if options.tree:
        leaves = read_leaves(options.tree, rows)
    else:
        # A leaf that stands for values of facets is read from its template without them.
        texts = [row.get("plain", row["template"]) for row in rows]
        components = None
        if input_settings_of(work).component_field:
            components = [_component(text) for text in texts]
        made_of = input_settings_of(work).message_field
        read = texts
        if "," in made_of:
            read = _without_data(texts, made_of)
        found = extractor_of(work)(read, components)
        if "," in made_of:
            found = [
                leaf if text != own else _composed(leaf, text)
                for leaf, text, own in zip(found, texts, read, strict=True)
            ]
        leaves = [_with_facets(leaf, row) for leaf, row in zip(found, rows, strict=True)]
    hierarchy.write_tree(leaves, work.file(".hierarchy.csv"))
    work.file(".hierarchy.csv").replace(work.file("hierarchy.csv"))
    sources = Counter(leaf.source for leaf in leaves)
    entities = len({leaf.entity for leaf in leaves if not is_none(leaf.entity)})
    work.say(
        f"hierarchy: {_counted(entities)}; "
        + ", ".join(
            f"{_WHO.get(name, name)} named the steps of {n} templates"
            for name, n in sources.most_common()
        )
    )


def _counted(entities: int) -> str:
    if entities == 1:
        return "1 entity"
    return f"{entities:,} entities"


def _with_facets(leaf: hierarchy.TreeRow, row: dict[str, Any]) -> hierarchy.TreeRow:
    """The leaf of a row; its status says the values of its facets."""
    status = " ".join(row.get("facets", ()))
    if not status:
        return replace(leaf, template=row["template"])
    if leaf.status != hierarchy.NONE:
        status = f"{leaf.status} {status}"
    return replace(leaf, template=row["template"], status=status)


def _without_data(texts: Sequence[str], made_of: str) -> list[str]:
    """Messages made of fields, cut to the first field where that is a text: the others are data.

    Messages whose first fields are the names of events stay as they are.

    >>> _without_data(["shop: msg=order <num> created status=200", "shop: msg=paid"], "msg,status")
    ['shop: order <num> created', 'shop: paid']
    >>> _without_data(["event=login method=POST"], "event,method")
    ['event=login method=POST']
    """
    first, *others = [re.escape(label(name.strip())) for name in made_of.split(",")]
    behind = "|".join(others)
    regex = re.compile(rf"((?:\S+: )?){first}=(.*?)(?: (?:{behind})=.*)?", re.DOTALL)
    found = [regex.fullmatch(text) for text in texts]
    if not any(one and " " in one[2].strip() for one in found):
        return list(texts)
    pairs = zip(texts, found, strict=True)
    return [text if one is None else one[1] + one[2] for text, one in pairs]


def _composed(leaf: hierarchy.TreeRow, text: str) -> hierarchy.TreeRow:
    """The leaf of a message made of fields: its first value names the action."""
    first = _FIRST_VALUE.match(text)
    if first is None:
        return leaf
    return replace(leaf, action=first[1].lower())


def _component(template: str) -> str | None:
    """The component that stands before a template's first `: `."""
    component, colon, _ = template.partition(": ")
    if not colon:
        return None
    return component


def extractor_of(work: Work) -> hierarchy.HierarchyExtractor:
    if work.options.llm is None:
        return hierarchy.extract
    # Imported only here, because the package `anthropic` takes a second to import.
    from . import claude

    return claude.ClaudeExtractor(
        model=work.options.llm_model,
        base_url=work.options.llm_base_url or claude.API,
        cache=work.options.llm_cache or claude.default_cache(),
        timeout_s=work.options.llm_timeout,
        retries=work.options.llm_retries,
        concurrency=work.options.llm_concurrency,
        warn=work.warn,
        on_progress=work.progress("ask Claude").show,
    )
