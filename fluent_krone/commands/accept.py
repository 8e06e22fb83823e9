"""`fluent-krone accept`: what a deploy brought is normal, at once and without a new bundle."""

from __future__ import annotations

import argparse
import json
import sys
import time

from ..core.listing import numbered
from ..explain.accepted import accept, accepted_rows, is_known, take_back
from ..explain.knowledge import Knowledge
from ..explain.rows import MAX_NAME, printable, to_ms
from .knowledge import opened
from .parser import Commands, add_place, user_name


def add(commands: Commands) -> None:
    """Declare the command."""
    command = commands.add(
        "accept", run, "make the new templates of a change normal, at once in a running service"
    )
    add_place(command)
    command.add_argument(
        "names",
        metavar="CHANGE_ID|TEMPLATE",
        nargs="*",
        help="the id of a change (`change.id` of its alert), or a template: its id or its text; "
        "without any, what is accepted is listed",
    )
    command.add_argument(
        "--undo", action="store_true", help="take it back: such lines are new again"
    )
    command.add_argument("--note", default="", metavar="TEXT", help="the reason, for other readers")
    command.add_argument(
        "--by", metavar="NAME", help="who accepts it (default: the user who runs the command)"
    )
    command.add_argument("--json", action="store_true", help="list as lines of JSON")


def run(flags: argparse.Namespace) -> int:
    """Accept, take back, or list."""
    with opened(flags) as knowledge:
        if not flags.names:
            _list(knowledge, as_json=flags.json)
            return 0
        unknown: list[str] = []
        if flags.undo:
            rows = take_back(knowledge, flags.names)
            effect = "is new again"
        else:
            rows = accept(
                knowledge,
                flags.names,
                note=printable(flags.note),
                by=printable(flags.by or user_name(), MAX_NAME),
                at_ms=to_ms(time.time()),
            )
            effect = "is normal"
            unknown = [row.template for row in rows if not is_known(knowledge, row.template)]
    for template in unknown:
        print(
            f"warning: no change that is remembered has the template “{template}”: only messages "
            "of exactly this form are normal now",
            file=sys.stderr,
        )
    for row in rows:
        instead = ""
        if row.replaces:
            instead = f" (instead of “{row.replaces}”)"
        print(f"“{row.template}”{instead} {effect}")
    return 0


def _list(knowledge: Knowledge, *, as_json: bool) -> None:
    rows = accepted_rows(knowledge)
    for row in rows:
        if as_json:
            print(
                json.dumps(
                    {
                        "template": row.template,
                        "replaces": row.replaces or None,
                        "change": row.change or None,
                        "note": row.note,
                        "by": row.by,
                    },
                    ensure_ascii=False,
                )
            )
        else:
            print(f"“{row.template}”  accepted by {row.by}")
    if not as_json:
        print(f"accepted so far: {numbered(len(rows), 'template')}")
