"""The values that parts hand to each other: frozen and slotted, compared by content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

Level = Literal["status", "action", "entity"]
LEVELS: tuple[Level, ...] = ("status", "action", "entity")


# A named tuple, which takes a third of the time to make that a frozen class takes: every few events
# a Seq closes.
class Seq(NamedTuple):
    """One KRONE Seq: `pattern` (node ids of its own level) over the events `[start, end)`."""

    level: Level
    start: int
    end: int
    pattern: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """How a Seq differs from the nearest normal one, in the tree's words; counts per step.

    `nearest_keys` are the log keys of the nearest normal session; empty where the Seq was compared
    with a pattern only.
    """

    extra: Mapping[str, int]
    missing: Mapping[str, int]
    repeated: Mapping[str, int]
    unseen: tuple[str, ...]
    nearest: tuple[str, ...]
    nearest_keys: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """A session is abnormal: the most abnormal Seq, the oddest event in it, and why.

    `level` is the lowest one with an abnormal Seq; `entity` where only the session as a whole is
    abnormal. `score` is above `threshold`, in the unit of `detector`.
    """

    level: Level
    seq: Seq
    event: int
    detector: str
    score: float
    threshold: float
    evidence: Evidence


Witness = Literal["order", "density", "values", "time", "levels", "flow", "template"]


@dataclass(frozen=True, slots=True)
class Deviation:
    """What one witness finds odd about one event of a session, and how surely.

    `direction` is from a small closed set for each witness, such as `slow` or `early_end`. `score`
    is above `threshold`; `p_value` is the share of normal sessions that score at least as much.
    `words` say it in a sentence, in which the steps of the events `named` stand in quotes, in this
    order, by their templates. `detail` tells apart deviations of one step that a person would
    not call the same, such as values of different places in a message. `beyond` is how many times
    as long a step took as it usually takes at most; 0 where that is not what deviates. `behind` is
    the log key of the step that came too early, where the step is odd only because it came after
    that one; -1 elsewhere.
    """

    witness: Witness
    direction: str
    level: Level
    event: int
    log_key: int
    score: float
    threshold: float
    p_value: float
    words: str
    detail: str = ""
    named: tuple[int, ...] = ()
    beyond: float = 0.0
    behind: int = -1


FlowLevel = Literal["stream", "entity", "action", "status"]


@dataclass(frozen=True, slots=True)
class Flow:
    """How often a node of the tree came from `start_ns` to `end_ns`, and how often it usually does.

    `level` is `stream` where it is about the starts of sessions.
    """

    level: FlowLevel
    name: str
    start_ns: int
    end_ns: int
    observed: int
    usual: float


@dataclass(frozen=True, slots=True)
class NewTemplate:
    """A template of a change: its id, its text, and the template that it replaces, if any."""

    template_id: str
    text: str
    replaces: str | None


@dataclass(frozen=True, slots=True)
class ChangeReport:
    """What is known of a change: many sessions have new steps since a moment.

    `state` says why it is reported: it is new, most of its sessions are abnormal in other ways, it
    has more templates than when it was reported first, or many sessions lack steps (`gone`) or have
    them in an order that no normal session had (`order`). `values` are those of the version label
    `field` in its records, `before` those of earlier records. `sessions` had steps of it, and
    `abnormal` of them have alerts of their own.
    """

    name: str
    state: Literal["open", "abnormal", "settled", "shifted"]
    tag: bytes
    first_ns: int
    at_ns: int
    templates: tuple[NewTemplate, ...]
    sessions: int
    abnormal: int
    field: str | None
    values: tuple[bytes, ...]
    before: tuple[bytes, ...]
    gone: tuple[str, ...] = ()
    order: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Background:
    """When the lines of a finding were written, with which levels, and where their session ran.

    `line_levels` are ranks (`reading/levels.py`), empty where the records have no level. `contexts`
    are names and values: of the session's first record, and of the record of the odd
    event, where it was at hand.
    """

    line_times: tuple[int, ...] = ()
    contexts: Sequence[Sequence[tuple[str, str]]] = ()
    line_levels: Sequence[int] = ()


NO_BACKGROUND = Background()


@dataclass(frozen=True, slots=True)
class Finding:
    """What the engine hands out: an abnormal session instance, a step that deviates, a template
    new to training, a change of the program, or a step of the whole stream that comes too often or
    not at all.

    `lines` are raw lines around the oddest event, `line` is that event's own, and `unmatched` are
    the shapes of those that match no template. `texts` are the lines of the session's first events,
    as many as are kept. All are empty where no lines are kept. `told_ns` is the stream time at
    which it was decided: that of the event, or that at which the session had ended.
    """

    kind: Literal["sequence", "deviation", "unseen_template", "change", "flow"]
    decided: Literal["early", "end"]
    tag: bytes
    session: tuple[bytes, ...]
    instance: int
    ordinal: int
    first_ns: int
    last_ns: int
    events: int
    log_keys: tuple[int, ...]
    verdict: Verdict | None
    lines: tuple[bytes, ...]
    line: bytes = b""
    unmatched: tuple[bytes, ...] = ()
    texts: Sequence[bytes] = ()
    deviations: tuple[Deviation, ...] = ()
    told_ns: int = 0
    change: ChangeReport | None = None
    # Of a finding of kind `flow`, which is about no session.
    flow: Flow | None = None
    background: Background = NO_BACKGROUND


@dataclass(frozen=True, slots=True)
class Packed:
    """Records on their way out under one tag: `count` packed entries, one after the other.

    `name` is the same when they are sent again.
    """

    tag: str
    entries: bytes
    count: int
    name: str


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert on its way out: `tag` it leaves under, event time in ns UTC, and its record.

    `tag` is the *output* tag, after retagging; the record's own `tag` field is the session's.
    `record` holds only what msgpack and JSON can carry: str, int, float, bool, None, list, dict.
    """

    alert_id: str
    tag: str
    time_ns: int
    record: Mapping[str, Any]
