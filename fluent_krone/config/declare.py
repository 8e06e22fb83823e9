"""How a parameter is declared: once, as a field of a dataclass, with all that is said about it."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from .literals import Kind

# Commands that a parameter belongs to: `pipe` is the child of `@type krone`, `serve` the Forward
# server, `replay` judges a file, `kafka` judges the partitions of a topic, and `kafka-key` only
# gives its messages the keys of their sessions. `kafka-share` talks to the instances of a group.
ALL = "pipe serve replay kafka"
READING = "pipe serve replay kafka kafka-key"
LIVE = "pipe serve"
SERVICE = "pipe serve kafka"
SERVE = "serve"
KAFKA = "kafka kafka-key"
BROKERS = "kafka kafka-key kafka-share"


def parameter(
    kind: Kind,
    default: Any,
    doc: str,
    *,
    commands: str = ALL,
    choices: str = "",
    secret: bool = False,
    common: bool = False,
) -> Any:
    """A field with its default, its type, and what the documentation says of it.

    `doc` is one or two full sentences in Markdown. `choices` are the values that it may have,
    separated by blanks. A `secret` gets no command-line flag and is never printed. A `common`
    parameter stands in the first group of `--help`.
    """
    metadata = {
        "kind": kind,
        "doc": doc,
        "commands": tuple(commands.split()),
        "choices": tuple(choices.split()),
        "secret": secret,
        "common": common,
    }
    return field(default=default, repr=not secret, metadata=metadata)
