"""`fluent-krone incidents`: lists incidents as their last events reported them, also
while the service runs.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

from ..core.listing import numbered
from ..explain.alert_rows import ReportedIncident, reported_incidents
from .knowledge import opened
from .parser import Commands, add_place


def add(commands: Commands) -> None:
    """Declare the command."""
    summary = "list incidents, the newest first, as their last events reported them"
    command = commands.add("incidents", run, summary)
    add_place(command)
    command.add_argument("--json", action="store_true", help="print JSON, one line for each")
    command.add_argument(
        "--most", type=int, default=100, metavar="N", help="how many are listed (default 100)"
    )
    command.add_argument(
        "--state", choices=("open", "ongoing", "resolved"), help="only incidents of this state"
    )


def run(flags: argparse.Namespace) -> int:
    """Print the incidents."""
    with opened(flags) as knowledge:
        found = reported_incidents(knowledge, flags.most)
    if flags.state is not None:
        found = [one for one in found if one.incident["state"] == flags.state]
    for one in found:
        if flags.json:
            print(json.dumps(one.as_json(), ensure_ascii=False))
        else:
            print("\n".join(_in_words(one)))
    if not flags.json:
        print(numbered(len(found), "incident") + _about_single(found))
    return 0


def _about_single(found: Sequence[ReportedIncident]) -> str:
    """Why incidents may be listed as open that are long over."""
    if not any(one.incident["state"] == "open" and one.incident["count"] == 1 for one in found):
        return ""
    return " (one of a single execution stays open here: no event reports its end)"


def _in_words(one: ReportedIncident) -> list[str]:
    incident: dict[str, Any] = one.incident
    executions = numbered(incident["count"], "execution")
    return [
        f"{incident['id']}  {incident['state']}  {executions}  {incident['first']}  {one.tag}",
        f"    {one.about}",
        f"    {one.explanation}",
    ]
