"""Parameters: which records come back once their session is judged, and what is added to records.

Under Fluentd, the parameters of the first group stand in a `<keep>` section, without `keep_`.
"""

from __future__ import annotations

from dataclasses import dataclass

from .declare import SERVICE, parameter
from .literals import BOOL, COUNT, DURATION, LIST, SHARE, SIZE, STRING

# Commands that keep records; a replay shows what they would keep.
_KEEPS = "pipe serve replay kafka"


@dataclass(frozen=True, kw_only=True)
class Keep:
    """Kept records: which records come back once their session is judged."""

    keep: bool = parameter(
        BOOL,
        False,
        "Hold the records of each session until it is judged, and send those that are kept. Under "
        "Fluentd, a `<keep>` section switches it on.",
        commands=SERVICE,
        common=True,
    )
    # Three of a kind show what varies between executions of one kind; more say the same again.
    keep_per_kind: int = parameter(
        COUNT,
        3,
        "How many normal sessions of each kind of execution are kept per day of stream time.",
        commands=_KEEPS,
    )
    keep_kind: str = parameter(
        STRING,
        "nested",
        "Which normal sessions are of one kind: with `bag` those that have each step equally "
        "often, with `nested` those that also have equally many runs of each entity and action, "
        "with `order` those that have the same steps in the same order.",
        choices="nested bag order",
        commands=_KEEPS,
    )
    keep_share: float = parameter(
        SHARE,
        0.01,
        "The share of the other normal sessions that is kept. A hash of the session key decides, "
        "so that several machines keep the same sessions.",
        commands=_KEEPS,
    )
    keep_outside: str = parameter(
        STRING,
        "keep",
        "What happens to records that belong to no session: `keep` sends them at once.",
        choices="keep drop",
        commands=_KEEPS,
    )
    keep_always: tuple[str, ...] | None = parameter(
        LIST,
        None,
        "`/regex/`es, separated by commas. A record whose message one of them matches is kept, "
        "whatever its session is.",
        commands=_KEEPS,
    )
    # Read for each record, which costs a little; an error in a normal session is part of normal
    # operation there, but few operators want to lose the line.
    keep_level: str = parameter(
        STRING,
        "error",
        "A record with this level, or a more severe one, is kept, whatever its session is.",
        choices="none warn error critical",
        commands=_KEEPS,
    )
    keep_size: int = parameter(
        SIZE,
        2**30,
        "The largest size of the records that are held. Above it, the sessions that began first "
        "are sent as they are, before they are judged. On Kafka it counts for each partition.",
        commands=SERVICE,
    )
    keep_summary: float = parameter(
        DURATION,
        60.0,
        "How often sessions and records that were not kept are counted in an event of their own; "
        "0 for never.",
        commands=SERVICE,
    )
    keep_tag: str = parameter(
        STRING,
        "keep.${tag}",
        "The tag of kept records. `${tag}` and `${tag_parts[n]}` stand for the record's tag.",
        commands=SERVICE,
    )
    keep_add_tag_prefix: str | None = parameter(
        STRING,
        None,
        "A prefix that is put before the record's tag; used instead of the tag.",
        commands=SERVICE,
    )
    keep_remove_tag_prefix: str | None = parameter(
        STRING, None, "A prefix that is first removed from the record's tag.", commands=SERVICE
    )
    keep_summary_tag: str = parameter(
        STRING,
        "keep.summary",
        "The tag of the events that count what was not kept.",
        commands=SERVICE,
    )
    keep_prefix: str = parameter(
        STRING,
        "krone.",
        "What the names of all fields that are added to a record begin with.",
        commands=_KEEPS,
    )
    keep_folder: str | None = parameter(
        STRING,
        None,
        "The folder that holds records until their session is judged. By default it lies beside "
        "`store`; without a store, and on Kafka, it is a temporary one.",
        commands=SERVICE,
    )


@dataclass(frozen=True, kw_only=True)
class Annotations:
    """Annotated records: every record at once, with what was read in it."""

    annotate: bool = parameter(
        BOOL,
        False,
        "Send every record on at once, with its template, entity, action, status and session as "
        "fields.",
        commands=SERVICE,
    )
    annotate_tag: str = parameter(
        STRING,
        "annotated.${tag}",
        "The tag of these records. `${tag}` and `${tag_parts[n]}` stand for the record's tag.",
        commands=SERVICE,
    )
