"""The tree of templates as a section of the report card's page."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from . import plots


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
