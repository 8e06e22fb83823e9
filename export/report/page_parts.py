"""Numbers, tables and lists as the page of a report card writes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from . import plots


def percent(rate: float | None) -> str:
    """A rate in percent, with one digit after the point, or two near 0 and 1.

    A space that does not break keeps it on one line.

    >>> [percent(rate).replace("\\xa0", " ") for rate in (0, 0.0007, 0.032, 1)]
    ['0 %', '0.07 %', '3.2 %', '100 %']
    """
    if rate is None:
        return "·"
    if rate in (0, 1):
        return f"{100 * rate:.0f}\xa0%"
    digits = 2
    if 0.00995 <= rate <= 0.9995:
        digits = 1
    return f"{100 * rate:.{digits}f}\xa0%"


def ratio(value: float | None) -> str:
    """F1 and similar figures, with three digits: the third still distinguishes good detectors."""
    if value is None:
        return "·"
    return f"{value:.3f}"


def fact_list(facts: Mapping[str, str]) -> str:
    return (
        "<dl class=facts>"
        + "".join(f"<dt>{term}</dt><dd>{text}</dd>" for term, text in facts.items())
        + "</dl>"
    )


def one_digit(value: float | None) -> str:
    """A score with one digit after the point."""
    if value is None:
        return "·"
    return f"{value:.1f}"


def hidden_table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return (
        f"<details><summary>The figures as a table</summary>{table(caption, heads, rows)}</details>"
    )


def table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of HTML cells; the first cell of each row is its head."""
    # An empty column head is a plain cell, because a screen reader would announce an empty head.
    head = "".join(f'<th scope="col">{text}</th>' for text in heads)
    head = head.replace('<th scope="col"></th>', "<td></td>")
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>'
        + "".join(f"<td>{cell}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll" role="region" aria-label="{caption}" tabindex="0">'
        f"<table><caption>{caption}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>"
    )


def tree_section(tree: Mapping[str, Any]) -> str:
    """Entities, their actions and templates, to be opened one by one."""
    most = max((entity["events"] for entity in tree["entities"]), default=0)
    nodes = "".join(_entity(entity, most) for entity in tree["entities"])
    left_out = ""
    if tree["left_out"]:
        left_out = f"<p>{tree['left_out']:,} rare templates are not shown.</p>"
    return (
        '<p>Each template belongs to an <span class="entity">entity</span>, an '
        '<span class="action">action</span> and a <span class="status">status</span>. Events are '
        "those of normal training. To correct the tree, edit <code>hierarchy.csv</code> and export "
        "again with <code>--tree</code>.</p>"
        f'<div class="tree">{nodes}</div>{left_out}'
    )


def _entity(entity: Mapping[str, Any], most: int) -> str:
    actions = "".join(
        f'<details open><summary><span class="action">{_name(action["action"])}</span> '
        f"{_counts(action)}</summary>"
        f"<ul>{''.join(map(_leaf, action['children']))}</ul></details>"
        for action in entity["children"]
    )
    # `most` is 0 only where no template has an event, and then all bars are empty.
    bar = plots.bar(entity["events"] / max(most, 1), "entity")
    return (
        f'<details class="branch"><summary><span class="entity">{_name(entity["entity"])}</span> '
        f"{_counts(entity)}{bar}</summary>{actions}</details>"
    )


def _name(name: str) -> str:
    if not name:
        return "<i>not named</i>"
    return escape(name)


def _counts(node: Mapping[str, Any]) -> str:
    noun = "templates"
    if node["templates"] == 1:
        noun = "template"
    return f"<small>{node['templates']:,} {noun}, {node['events']:,} events</small>"


def _leaf(leaf: Mapping[str, Any]) -> str:
    status = ""
    if leaf["status"]:
        status = f'<span class="status">{escape(leaf["status"])}</span> '
    if leaf["events"]:
        seen = f"<small>{leaf['events']:,} events in {leaf['sessions']:,} sessions</small>"
    else:
        seen = '<small class="never">never in normal training</small>'
    return f"<li>{status}<code>{escape(leaf['template'])}</code> {seen}</li>"
