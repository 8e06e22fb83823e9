"""Which fields of a record are its message."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from fluent_krone.errors import ExportError
from fluent_krone.inputs import find_files
from fluent_krone.inputs.files import describe
from fluent_krone.reading.accessor import field_getter, is_path, message_getter
from fluent_krone.reading.field_names import spelled
from fluent_krone.reading.mask import Masker
from fluent_krone.reading.values import as_bytes
from fluent_krone.reading.wildcards import as_text

from .event_names import (
    ACTIVITY_NAMES,
    FEW_VALUES,
    OF_A_NAME,
    are_identities,
    is_beside,
    is_context,
    is_number,
    most_names,
    named_first,
    numbered_events,
    of_sessions,
    that_change,
)
from .guess import guess_line_format
from .header_shapes import DAY, MONTH
from .measures import is_word, word_of
from .nested_fields import last_name, names_in, values_of
from .session_key import ROUTES
from .stages import Options
from .step_words import step_words

Say = Callable[[str], None]
Sample = list[dict[bytes, Any]]
# Names of fields that a message lists.
_LISTED = 20
# Names that messages go by, the usual ones first.
_MESSAGE_NAMES = (
    *("message", "msg", "log", "Content", "content", "text", "body", "event", "MESSAGE"),
    "m_message",
)
# The field of a request's method.
_METHODS = re.compile(r"(?:.*[-_.])?(?:method|verb)|request_?method", re.I)
_ACTIVITIES = tuple(map(spelled, ACTIVITY_NAMES))
# Names of a message in whatever spelling, without capitals and signs.
_SPELLED_NAMES = (
    *("message", "msg", "body", "shortmessage", "renderedmessage", "m", "mt", "messagetemplate"),
    *("textpayload", "logmessage", "logline", "line", "text", "content", "fullmessage", "raw"),
    # the body of one record of OpenTelemetry
    "stringvalue",
    # macOS
    "eventmessage",
    *("description", "details", "output", "event"),
    *("meldung", "nachricht", "mensaje", "mensagem", "messaggio", "сообщение", "повідомлення"),
    *("消息", "訊息", "日志内容", "内容", "メッセージ", "메시지", "내용", "ข้อความ"),
    *_ACTIVITIES,
)
_RENDERED = ("renderedmessage", "formattedmessage")
# Words with blanks and perhaps a number between them: not a date, an agent, an address or a query.
# The request of an access log is a text as well.
_PROSE = re.compile(
    rf"(?!(?:{DAY}|{MONTH})\b)".encode()
    + rb"[A-Za-z\x80-\xff]{2,}[,:]? (?:[0-9]+[,:]? )?[^\s=&]*[A-Za-z\x80-\xff]{2,}"
    rb"|[A-Z]{3,7} /\S* HTTP/[0-9.]+\Z"
)
# Sentences of scripts without blanks are longer than names in them.
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]{6,}")
# Further fields of one record that its message is made of. With more of them it is a document.
_MOST_OTHERS = 30
# … and of all records, which have different ones.
_MOST_NAMED = 100
# Numbers that only grow from there are seconds since 1970, or parts of them.
_SECONDS_OF_2001 = 10**9
# Of the values of a field, the share that must be in the text for the field to say nothing more.
_SAID_SHARE = 0.9
# Of the records, the share that has a field which belongs to no message in particular, and the
# share that has one whose word goes with the message.
_EVERYWHERE, _USUAL = 0.8, 0.5
# Values of a field that are needed to see what sort they are.
_FEWEST_VALUES = 3
# This many records show that a text is always the same one.
_ALL_ALIKE = 20
# Names that say how something went, as `spelled`, and those that say it behind one of them. A word
# there is worth reading though all of training has the same one: it will be another one.
_OUTCOMES = (
    *("status", "statuscode", "result", "resultcode", "outcome", "success", "error", "errorcode"),
    *("exitcode", "exitstatus", "verdict"),
)
# What stands behind one of them in words may as well describe a thing, as the name of a result.
_IN_WORDS = ("value", "text", "type", "name")
# Kinds of messages of one form that are always few enough.
_FEW_KINDS = 4
# An address says who asked, however few of them there are.
_ADDRESS = re.compile(rb"\d{1,3}(?:\.\d{1,3}){3}(?![\w.])|[0-9a-fA-F]*(?::[0-9a-fA-F]*){2,7}\Z")
# A value that is one word, as a template's wildcard takes it, or a name of a few.
_WORD = re.compile(
    rb"[^\s=,;\"'()\[\]{}]{1,60}(?: [^\s=,;\"'()\[\]{}]{1,30}){0,4}|/[^\s=,;\"']{0,60}"
)


class Message(NamedTuple):
    """The `field` that holds the message, or several with commas between them; and the one of them
    whose words say what happened."""

    field: str
    text: str


def message_field(options: Options, sample: Sample, neighbours: Sample, say: Say) -> Message:
    """The field that holds the message: the one given, else one by a usual name.

    `neighbours` are records that follow one another, unlike those of the `sample`.

    Records without text have a message that is made of their fields, and so have those with a text
    and with data beside it. This is said.
    """
    message = options.message_field
    if message is None:
        names = (*_rendered(sample), *_MESSAGE_NAMES, *_other_messages(sample))
        message = next((name for name in names if _is_text(name, sample)), None)
    if message is None:
        message = _usual_name(sample)
        if message is not None and _is_rare(message, sample):
            text, others = _composed(_without(message, sample), options.session_key, neighbours)
            composed = [message, *others]
        else:
            text, composed = _composed(sample, options.session_key, neighbours)
        if composed not in ([], [message]) and (message is None or message in composed):
            field = _made_of(composed, "no field has a message text", sample, say)
            return Message(field, text or composed[0])
    elif options.message_field is None:
        beside = _beside(message, sample, options.session_key, neighbours)
        if beside and not _is_whole_line(message, sample, session_pattern(options)):
            fields = _with_route([message, *beside], sample)
            return Message(
                _made_of(fields, f"records say more than {message}", sample, say), message
            )
    field = message or "message"
    _check_that_it_is_there(field, options, sample)
    fields = field.split(",")
    return Message(
        field, next((one for one in fields if one not in options.session_key), fields[0])
    )


def _usual_name(sample: Sample) -> str | None:
    """The first usual name of a message that records have, although it holds no text.

    `event` may as well be an object, and `msg` empty in all records.
    """
    plain = names_in(sample)
    usual = (name for name in _MESSAGE_NAMES if name in plain)
    return next((name for name in usual if any(values_of(name, sample))), None)


def _is_rare(name: str, sample: Sample) -> bool:
    """Whether most records do not have a field, and have others that say what happened."""
    return len(values_of(name, sample)) < len(sample) / 2


def _without(name: str, sample: Sample) -> Sample:
    return [{key: record[key] for key in record if key != name.encode()} for record in sample]


def _composed(
    sample: Sample, session_key: Sequence[str], neighbours: Sample
) -> tuple[str | None, list[str]]:
    """The field that names what happened, if there is one, and all those that a message without a
    text is made of."""
    composed = named_first(sample, session_key)
    others = _others(sample, {*composed, *session_key})
    first = next(iter(composed), None)
    if first is None:
        others = that_change(others, session_key, sample)
    else:
        others = [name for name in others if not is_context(name, first, sample)]
    numbered = numbered_events(names_in(sample), first, session_key, sample)
    # Those that name the step become a part of it whatever the message is (`facet_fields.py`).
    steps = step_words(first, session_key, neighbours) if first is not None else []
    others = [name for name in (*composed, *others) if name not in steps]
    composed = [*numbered, *(name for name in others if name not in numbered)]
    return first, _with_route(composed, sample)


def _check_that_it_is_there(message: str, options: Options, sample: Sample) -> None:
    fields = {name.decode("utf-8", "replace") for record in sample for name in record}
    if is_path(message) or "," in message or message in fields:
        return
    hint = ""
    if "." in message:
        hint = f"; a nested field is written $.{message}"
    raise ExportError(
        f"{describe(find_files(options.input or ''))}: no record has a field {message!r}: "
        f"name one of these with --message-field: {', '.join(sorted(fields)[:_LISTED])}{hint}"
    )


def _with_route(composed: list[str], sample: Sample) -> list[str]:
    """With the field of the route behind that of the method of a request, as access logs have it.

    The shape of the route says what was asked for, though there are many routes.
    """
    names = names_in(sample)
    method = next((name for name in composed if _METHODS.fullmatch(last_name(name))), None)
    routes = (name for name in names if ROUTES.fullmatch(last_name(name)))
    route = next(
        (name for name in routes if name not in composed and _is_route(name, sample)), None
    )
    if method is None or route is None:
        return composed
    at = composed.index(method) + 1
    return [*composed[:at], route, *composed[at:]]


def _is_route(name: str, sample: Sample) -> bool:
    values = values_of(name, sample)
    routes = sum(isinstance(value, bytes) and value.startswith(b"/") for value in values)
    return routes >= _EVERYWHERE * len(sample)


def _made_of(fields: Sequence[str], why: str, sample: Sample, say: Say) -> str:
    message = ",".join(fields)
    if len(fields) == 1 and all(map(is_number, values_of(message, sample))):
        # A number says what it is only by its name.
        message += ","
    example = as_bytes(message_getter(message)(sample[0]) or b"")
    say(
        f"{why}, so the message is made of {message}, as in "
        f"{example.decode('utf-8', 'replace')!r} (--message-field names others)"
    )
    return message


def _rendered(sample: Sample) -> list[str]:
    """Fields of the text that was made of a template, beside which the template stands."""
    names = names_in(sample)
    return [name for name in names if spelled(last_name(name)) in _RENDERED]


def _other_messages(sample: Sample) -> list[str]:
    """Fields that may hold the message although none has a usual name: by their names in whatever
    spelling, nested ones too, and then those that hold sentences in nearly all records.
    """
    names = names_in(sample)
    written: dict[str, str] = {}
    for name in names:
        written.setdefault(spelled(last_name(name)), name)
    by_name = [written[name] for name in _SPELLED_NAMES if name in written]
    if any(spelled(name) in _ACTIVITIES for name in names):
        # What has happened stands there, and other words are names of groups and products.
        return by_name
    return [*by_name, *(name for name in names if _is_prose(name, sample))]


def _is_prose(name: str, sample: Sample) -> bool:
    """Whether nearly all records have sentences of words in a field, and not all the same one."""
    if is_beside(name):
        return False
    values = values_of(name, sample)
    prose = [value for value in values if isinstance(value, bytes) and _PROSE.match(value)]
    return len(prose) >= _EVERYWHERE * len(sample) and len(set(prose)) > 1


def _is_text(name: str, sample: Sample) -> bool:
    """Whether most records have a field of that name, and it holds sentences or lines.

    One that is the same in all of many records does not say what happened.
    """
    get = field_getter(name)
    values = [get(record) for record in sample]
    found = [as_bytes(value) for value in values if isinstance(value, bytes | list)]
    texts = [text for text in found if text.strip()]
    if len(texts) < len(sample) / 2 or (len(texts) >= _ALL_ALIKE and len(set(texts)) == 1):
        return False
    # An event's name, such as `login`, is no text; a line of text has blanks or many forms.
    if any(b" " in text or _UNSPACED.search(as_text(text)) for text in texts):
        return True
    return len(set(texts)) > most_names(texts)


def _others(sample: Sample, known: Collection[str]) -> list[str]:
    """The fields beside those that say what happened: numbers, and words with few values.

    Ids of letters are left out, and so are times and counters, which only grow.
    """
    found = []
    for name in names_in(sample):
        if name in known or is_beside(name):
            continue
        values = values_of(name, sample)
        if len(values) >= _FEWEST_VALUES and _is_data(values):
            found.append(name)
    getters = [field_getter(name) for name in found]
    most = max(sum(get(record) not in (None, b"") for get in getters) for record in sample)
    if most > _MOST_OTHERS:
        return found[:_MOST_OTHERS]
    return found[:_MOST_NAMED]


def _beside(
    message: str, sample: Sample, session_key: Sequence[str], neighbours: Sample
) -> list[str]:
    """The fields beside a text that say more than the text does."""
    masker = Masker(None)
    text_of = message_getter(message)
    texts = [as_bytes(text_of(record) or b"") for record in sample]
    forms = [masker.form(text.decode("utf-8", "replace")) for text in texts]
    found = []
    for name in _others(sample, {message, *session_key}):
        if are_identities(name, session_key, sample):
            continue
        get = field_getter(name)
        had = [
            (form, text, value)
            for form, text, record in zip(forms, texts, sample, strict=True)
            if (value := get(record)) not in (None, b"")
        ]
        said = sum(as_bytes(value) in text for _, text, value in had)
        pairs = [(form, value) for form, _, value in had]
        if said < _SAID_SHARE * len(had) and _is_news(name, pairs, len(sample)):
            found.append(name)
    words = [
        name
        for name in found
        if not is_outcome(name) or (_is_in_words(name) and len(set(values_of(name, sample))) > 1)
    ]
    context = of_sessions(words, session_key, sample)
    # Those that name the step become a part of it whatever the message is (`facet_fields.py`).
    steps = step_words(message, session_key, neighbours)
    found = [name for name in found if name not in context and name not in steps]
    words_of = (map(field_getter(name), sample) for name in steps)
    return _in_few_kinds(found, [*zip(forms, *words_of, strict=True)], sample)


def _is_news(name: str, had: Sequence[tuple[Any, Any]], size: int) -> bool:
    """Whether a field of so many records tells messages of a form apart; `had` are form and value
    of those that have the field.
    """
    of_form: dict[Any, set[Any]] = {}
    for form, value in had:
        of_form.setdefault(form, set()).add(value)
    if not any(is_word(value) for _, value in had):
        # A number such as a code may be another one, though it is the same in all of a form.
        return True
    if is_outcome(name):
        values = Counter(value for _, value in had)
        alike = max(values.values()) >= _EVERYWHERE * len(had)
        # Fields that have several values and are not nested tell steps apart by themselves. Nearly
        # everything goes the same way, while names of things are many.
        if len(values) == 1 or (is_path(name) and (alike or not _is_in_words(name))):
            return True
    # A word that is the same in all messages of a form, as the service that writes them, says
    # nothing; but that of a field which few messages have, as a route, may yet be another one.
    if all(len(values) == 1 for values in of_form.values()) and len(had) > _USUAL * size:
        return False
    # A word that records of whatever form have says where a session ran: a tenant, a hall.
    return len(of_form) == 1 or len(had) <= _EVERYWHERE * size


def is_outcome(name: str) -> bool:
    """Whether a field says by its name how something went.

    >>> [is_outcome(name) for name in ("status", "$.status.code", "$.country.code")]
    [True, True, False]
    """
    *above, last = map(spelled, name.removeprefix("$.").split("."))
    behind = last == "code" or last in _IN_WORDS
    return last in _OUTCOMES or (behind and bool(above) and above[-1] in _OUTCOMES)


def _is_in_words(name: str) -> bool:
    return spelled(last_name(name)) in _IN_WORDS


def _in_few_kinds(names: Sequence[str], forms: Sequence[Any], sample: Sample) -> list[str]:
    """The fields, as long as their words divide the messages of each form into few kinds.

    Each combination of words is a template. If a form has twenty fields that are true or false,
    hardly a message has the combination of another one.
    """
    kept = []
    kinds: Sequence[Any] = forms
    of_form = Counter(forms)
    for name in names:
        get = field_getter(name)
        words = [word_of(value) for value in map(get, sample)]
        divided = [*zip(kinds, words, strict=True)]
        kinds_of = Counter(form for form, _ in {*zip(forms, divided, strict=True)})
        if all(
            number <= max(_FEW_KINDS, of_form[form] // OF_A_NAME)
            for form, number in kinds_of.items()
        ):
            kept.append(name)
            kinds = divided
    return kept


def session_pattern(options: Options) -> str | None:
    """The regular expression that finds the session key in a message; None where a field has it."""
    return pattern_in(options.session_key)


def pattern_in(session_key: Sequence[str]) -> str | None:
    """The regular expression in a session key."""
    return next((part[1:-1] for part in session_key if part.startswith("/")), None)


def _is_whole_line(name: str, sample: Sample, session: str | None) -> bool:
    """Whether a field holds lines of a log as their program wrote them, each with its header.

    A header is found where a line begins, so nothing is put before it.
    """
    lines = [as_text(value) for value in values_of(name, sample) if isinstance(value, bytes)]
    guess = guess_line_format(lines, session)
    return guess is not None and guess.share > _EVERYWHERE and len(guess.example) > 1


def _is_data(values: Sequence[Any]) -> bool:
    if any(isinstance(value, dict | list) for value in values):
        return False
    if all(isinstance(value, bool) or is_number(value) for value in values):
        numbers = [float(value) if isinstance(value, bytes) else value for value in values]
        grows = all(before <= after for before, after in pairwise(numbers))
        # Few times are times nevertheless, and numbers that count the records say nothing.
        are_times = min(numbers) >= _SECONDS_OF_2001
        count = all(before + 1 == after for before, after in pairwise(numbers))
        is_few = len(set(numbers)) <= FEW_VALUES
        return not grows or (is_few and not are_times and not count)
    words = {word_of(value) for value in values if isinstance(value, bytes)} - {None}
    few = len(words) <= min(FEW_VALUES, max(2, len(values) // OF_A_NAME))
    return few and all(_WORD.fullmatch(word) and not _ADDRESS.match(word) for word in words)
