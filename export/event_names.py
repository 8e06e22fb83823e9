"""The fields of a record that name what happened, and those that say where or for whom."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Sequence
from typing import Any

from fluent_krone.reading.accessor import field_getter, is_path, path_steps
from fluent_krone.reading.field_names import spelled

from .nested_fields import last_name, names_in, plain_names, values_of
from .session_ids import NOUNS
from .session_key import is_execution, is_identity

# What logs of processes call a step; `concept:name` is its name in XES, their standard.
ACTIVITY_NAMES = ("activity", "concept:name", "activity_name", "activity_id")
# Fields that name what happened, and nothing else.
_NAMES_PROPER = (
    *("event", "event_type", "eventType", "event_name", "eventName"),
    *("action", "msg", "message", "type", "kind"),
    *ACTIVITY_NAMES,
)
# Fields that say what happened, in the order in which a message is made of them.
EVENT_NAMES = (
    *_NAMES_PROPER,
    *("operation", "op", "command", "method", "http_method", "verb", "route", "endpoint"),
    *("handler", "state", "outcome", "result", "status", "status_code", "code", "reason", "error"),
)
# Fields that may name what happened by a number, as Windows does: `EventID` 4624 is a logon.
_NUMBERED = re.compile(
    r"(?:event|activity|action|op(?:eration)?|step|stage|state)(?:id|code|no|nr|num(?:ber)?|type)?"
)
# Names of things that are amounts where they are numbers, or counts in the plural.
_AMOUNTS = re.compile(r".*s|(?:.*[_.-])?(?:payment|invoice|claim|lot|run|call)", re.I)
# Distinct values of a categorical field; more are data.
FEW_VALUES = 40
# The name of an event, such as `cart.loaded` or `oauth2.token.issue`, and how often each comes on
# average at least. A large service has hundreds of them.
_NAME = re.compile(rb"[A-Za-z][A-Za-z_]*[0-9]{0,3}(?:[.:/-][A-Za-z_]+[0-9]{0,3})*")
OF_A_NAME = 10
# Fields that say when, where and how severe. They are read by themselves, or say nothing of what
# happened.
_BESIDE = re.compile(
    r"@?time|ts|t|date(?:time)?|asctime|event_?time|levels?|lvl|log_?level"
    r"|level_?name|severity|sev|priority|syslog_.*|host(?:_?name)?|pod(?:_?name)?|node(?:_?name)?|tag"
    r"|component|logger(?:_?name)?|caller|line(?:no)?|func(?:tion)?|file(?:name)?"
    r"|thread(?:_?(?:name|id|priority))?|pid|tid|process_?id|source|stream|logtag|time_.*|v|@?version"
    r"|api_?version|schema.*|ecs\..*|_(?:index|type|score|id)|log_?name|user_?agent|.*user-agent.*"
    r"|severity_?(?:text|number|level)|level_?value|@[tlir]|event\.dataset|service\.name|log\..*|s"
    r"|source_?context|category|insert_?id|e?cs_?version|clock"
    r"|end_?of_?batch|(?:.*[_.])?(?:remote|client|peer|src|source)[_.]?port"
    r"|nano_?of_?second|(?:time(?:stamp)?_?)?nano(?:second)?s"
    r"|sequence_?number|epoch.*|.*[ _]time|.*stamp",
    re.I,
)
# A name that a severity has, and objects in which it is that of the record.
_SEVERITY = re.compile(r"levels?|lvl|severity|sev|priority", re.I)
_OF_A_LOG = re.compile(
    r"logs?|event|record|entry|fields|data|attributes|extra|context|meta(?:data)?|labels", re.I
)
# A field that names what happened is in at least this share of the records, and tells this share of
# what there is to know about which other fields they have.
_NEARLY_ALL, _TOLD = 0.95, 0.6
# What the word of a field tells of the event, as a share of what the word itself tells, where it
# has nothing to do with the event; and what it tells beside the session, where it belongs to that.
_HARDLY = 0.1
# Where at most this many events differ, a word beside them may tell steps apart that they do not.
_FEWEST_EVENTS = 3
# A categorical field is in at least this share of the records.
_RARELY = 0.05
# Sessions of several records that tell whether a word is the same in each of them.
_FEWEST_SESSIONS = 10
# Distinct names of events, or of loggers, that a short log may have.
MOST_OF_SHORT = 20
# The text of a number; more digits are an id, or a time.
_NUMBER = re.compile(rb"[+-]?\d{1,9}(?:\.\d{1,9})?")
# Records of whatever event have a field that says for whom a session ran; this share is enough.
_USUAL = 0.5


def _categorical(sample: list[dict[bytes, Any]]) -> list[str]:
    """Fields that name what happened and take few values, by their usual names.

    A name may be written in any way, as `EventType` or `Event Type`.
    """
    written: dict[str, str] = {}
    for name in names_in(sample):
        if name in EVENT_NAMES:
            written[spelled(name)] = name
        elif name[:1].isalpha() and not is_path(name):
            # A sign before a name, as in `_type`, is that of data about the record.
            written.setdefault(spelled(name), name)
    found = []
    for usual in dict.fromkeys(map(spelled, EVENT_NAMES)):
        if usual not in written:
            continue
        name = written[usual]
        plain = [value for value in values_of(name, sample) if isinstance(value, bytes | int)]
        # In a short log, the names of events are many of its records.
        most = max(2, len(sample) // 5, min(len(sample) // 2, MOST_OF_SHORT))
        few = 1 <= len(set(plain)) <= min(most_names(plain), most)
        if plain and few and len(plain) >= _RARELY * len(sample):
            found.append(name)
    return found


def named_first(sample: list[dict[bytes, Any]], keys: Collection[str]) -> list[str]:
    """The categorical fields; the first one names what happened, whatever its name is.

    One that is the same in all records, as a `msg` that is always `request handled`, does not.
    """
    found = _categorical(sample)
    found.sort(key=lambda name: len({*map(repr, values_of(name, sample))}) < 2)
    if found[:1] and spelled(found[0]) in map(spelled, _NAMES_PROPER):
        return found
    deciding = _deciding(sample, keys)
    if deciding is None:
        return found
    return [deciding, *(name for name in found if name != deciding)]


def _deciding(sample: list[dict[bytes, Any]], keys: Collection[str]) -> str | None:
    """The field whose word decides which other fields a record has; None where none does.

    That word says what happened: records of one event have the same fields, and others than those
    of most other events.
    """
    names = [frozenset(plain_names(record)) for record in sample]
    surprise = _surprise(names)
    found: tuple[float, int, str] | None = None
    for name in dict.fromkeys(name for of_one in names for name in sorted(of_one)):
        if name in keys or is_beside(name):
            continue
        words = _event_names(name, sample)
        if words is None:
            continue
        of_word: dict[Any, list[frozenset[str]]] = {}
        for word, fields in zip(words, names, strict=True):
            of_word.setdefault(word, []).append(fields)
        left = sum(len(fields) * _surprise(fields) for fields in of_word.values()) / len(sample)
        told = surprise - left
        # Of two that tell as much, the one of more words tells more of what happened.
        if told > _TOLD * surprise and (found is None or (told, len(of_word)) > found[:2]):
            found = (told, len(of_word), name)
    return found[2] if found else None


def _event_names(name: str, sample: list[dict[bytes, Any]]) -> list[Any] | None:
    """The values of a field of nearly all records, if they may be names of events."""
    get = field_getter(name)
    had = [get(record) for record in sample]
    words = [value for value in had if isinstance(value, bytes) and _NAME.fullmatch(value)]
    if len(words) < _NEARLY_ALL * len(sample) or len(set(words)) > most_names(words):
        return None
    return [None if isinstance(value, list | dict) else value for value in had]


def is_beside(name: str) -> bool:
    """Whether a field says when, where or for whom, by its name."""
    last = last_name(name)
    if is_path(name):
        [*_, above, _] = ["", *map(str, path_steps(name))]
        if last == "value" and _SEVERITY.fullmatch(above):
            # `$.level.value` is the number of the level.
            return True
        if _SEVERITY.fullmatch(last):
            # `$.risk.level` is how high the risk is.
            return not above or _OF_A_LOG.fullmatch(above) is not None
    return bool(_BESIDE.fullmatch(last)) or "," in name or is_execution(last)


def are_identities(name: str, session_key: Sequence[str], sample: list[dict[bytes, Any]]) -> bool:
    """Whether the numbers of a field say which process, port or customer it was, as `_PID` does.

    Such numbers are whole, whether they are numbers or texts of a table. That of a thing, as
    `account` 1042, is the same in a whole session, for it might be an amount else. A number of
    which there are few may name what happened, as `EventID` does.
    """
    values = values_of(name, sample)
    numbers = [value for value in values if is_number(value)]
    whole = (isinstance(value, int) or float(value).is_integer() for value in numbers)
    if 2 * len(numbers) <= len(values) or not all(whole):
        return False
    last = last_name(name)
    if is_identity(last):
        return not _is_numbered(name, sample)
    is_thing = NOUNS.fullmatch(last) is not None and not _AMOUNTS.fullmatch(last)
    return is_thing and name in _known_by_sessions([name], session_key, sample)


def _surprise(values: Sequence[Hashable]) -> float:
    """The entropy of values, in nats."""
    return entropy(Counter(values))


def entropy(counts: Counter[Any]) -> float:
    """The entropy of what was counted, in nats."""
    total = counts.total()
    return -sum(n / total * math.log(n / total) for n in counts.values() if n)


def told(pairs: Counter[tuple[Any, Any]]) -> float:
    """What the first of two things tells of the other one, in nats.

    By chance, even things that have nothing to do with one another tell something; that is left
    out.
    """
    first = Counter(one for one, _ in pairs.elements())
    second = Counter(other for _, other in pairs.elements())
    by_chance = (len(first) - 1) * (len(second) - 1) / (2 * pairs.total())
    return entropy(first) + entropy(second) - entropy(pairs) - by_chance


def numbered_events(
    names: Iterable[str],
    first: str | None,
    session_key: Sequence[str],
    sample: list[dict[bytes, Any]],
) -> list[str]:
    """Those of `names` that say what happened by a number with few values.

    A number that is the same in a whole session belongs to the session: `operation_id` 17. Where
    the `first` field of the message has words, a number that counts the records of a session says
    nothing: each step would be another one at each place of a session.
    """
    found = [name for name in names if name not in session_key and _is_numbered(name, sample)]
    known = _known_by_sessions(found, session_key, sample)
    found = [name for name in found if name not in known]
    if first is None or all(map(is_number, values_of(first, sample))):
        return found
    return [name for name in found if not _counts_up(name, session_key, sample)]


def _counts_up(name: str, session_key: Sequence[str], sample: list[dict[bytes, Any]]) -> bool:
    """Whether a number is one more than in the record before of the same session, nearly always."""
    getters = [field_getter(key) for key in session_key]
    get = field_getter(name)
    last: dict[tuple[str, ...], int] = {}
    steps: Counter[int] = Counter()
    for record in sample:
        if not _is_whole(get(record)):
            continue
        number = int(get(record))
        session = tuple(str(key(record)) for key in getters)
        if session in last:
            steps[number - last[session]] += 1
        last[session] = number
    return steps[1] >= _NEARLY_ALL * steps.total() > 0


def _is_numbered(name: str, sample: list[dict[bytes, Any]]) -> bool:
    if not _NUMBERED.fullmatch(spelled(last_name(name))):
        return False
    values = values_of(name, sample)
    if len(values) < _NEARLY_ALL * len(sample) or not all(map(_is_whole, values)):
        return False
    return 1 < len(set(values)) <= max(FEW_VALUES, len(values) // OF_A_NAME)


def _is_whole(value: Any) -> bool:
    if isinstance(value, bytes):
        return value.isdigit()
    return isinstance(value, int) and not isinstance(value, bool)


def is_context(name: str, event: str, sample: list[dict[bytes, Any]]) -> bool:
    """Whether the word of a field says where or for whom a session ran, as a tenant does.

    Most records have such a field, and its word tells nothing of what happened, which the field
    `event` names. If it were a part of the message, each step would be a step of its own for each
    tenant, and none of these would come often enough to be known.
    """
    get_event = field_getter(event)
    get_word = field_getter(name)
    pairs = ((get_event(record), get_word(record)) for record in sample)
    had = Counter(pair for pair in pairs if isinstance(pair[1], bytes))
    words = Counter(word for _, word in had.elements())
    names = Counter(event for event, _ in had.elements())
    if had.total() <= _USUAL * len(sample) or len(names) < _FEWEST_EVENTS:
        return False
    return told(had) <= _HARDLY * entropy(words)


def most_names(values: Sequence[Any]) -> int:
    """How many distinct values of a field may be names of events; more are texts, or data."""
    if all(isinstance(value, bytes) and _NAME.fullmatch(value) for value in set(values)):
        return max(FEW_VALUES, len(values) // OF_A_NAME)
    return FEW_VALUES


def that_change(
    names: list[str], session_key: Sequence[str], sample: list[dict[bytes, Any]]
) -> list[str]:
    """Without the words that say whom a session ran for, if others are left.

    The words that change with the steps say what has happened: the field that has most of them
    stands first, and numbers stand last.
    """
    context = of_sessions(names, session_key, sample)
    words = {name: {*values_of(name, sample)} for name in names}
    numbers = [name for name in names if all(map(is_number, words[name]))]
    changing = [name for name in names if name not in numbers and name not in context]
    if not changing:
        return names
    changing.sort(key=lambda name: -len(words[name]))
    return [*changing, *numbers]


def of_sessions(
    names: Sequence[str], session_key: Sequence[str], sample: list[dict[bytes, Any]]
) -> set[str]:
    """The fields whose words are known as soon as the session is: they say whom it ran for."""
    words = [name for name in names if not all(map(is_number, values_of(name, sample)))]
    return _known_by_sessions(words, session_key, sample)


def _known_by_sessions(
    names: Sequence[str], session_key: Sequence[str], sample: list[dict[bytes, Any]]
) -> set[str]:
    """The fields whose values are known as soon as the session is.

    A value that is nearly always the same one, as `ok`, is not known by that: where it is another
    one, the others of its session are not.
    """
    getters = [field_getter(key) for key in session_key]
    of_record = [tuple(str(get(record)) for get in getters) for record in sample]
    sizes = Counter(of_record)
    places = [place for place, session in enumerate(of_record) if sizes[session] > 1]
    sessions = [of_record[place] for place in places]
    if len(set(sessions)) < _FEWEST_SESSIONS:
        return set()
    found = set()
    for name in names:
        get = field_getter(name)
        values = [get(sample[place]) for place in places]
        pairs = zip(sessions, values, strict=True)
        within = entropy(Counter(pairs)) - entropy(Counter(sessions))
        if within <= _HARDLY * entropy(Counter(values)):
            found.add(name)
    return found


def is_number(value: Any) -> bool:
    """Whether a value is a number, or the text of one, as in a table."""
    if isinstance(value, bytes):
        return _NUMBER.fullmatch(value) is not None
    return isinstance(value, int | float) and not isinstance(value, bool)
