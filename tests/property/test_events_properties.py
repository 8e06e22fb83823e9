"""One look-up gives what the reader and the matcher give, whatever was remembered before."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fluent_krone.errors import RecordError
from fluent_krone.reading.events import EventReader, takes_digits_alike
from fluent_krone.reading.records import InputSettings, RecordReader
from fluent_krone.reading.templates import TemplateMatcher

TEMPLATES = [
    "lift <*> at <num>",
    "app: lift <*>",
    "a<nth>: lift <*>",
    "a<nth>: code 404",
    "a2: lift <*>",
    "code 404",
    "code <num>",
    "<*>:<*>",
    "lift 7 <*>",
    "req=<id> go",
    "req=<num> go <*>",
    "go <id>",
    "go ida7",
    "go id<num>",
    "at <*> go",
    "at <num> <id> lift",
]
KEYS = [
    "/id[-0-9a-f]+/",
    "/req=([0-9a-f]+)/",
    "/at (\\w+)?/",
    "/[a-f]+[0-9]/",
    "/id-?[0-9]+/",
    r"/\bid(\d{1,3})\b/",
    "/i.7/",
    "/([0-9]+)/",
    "id",
    "tag",
]

messages = st.one_of(
    st.lists(
        st.sampled_from(
            [
                "lift",
                "id7",
                "id-12",
                "id123",
                "idaf",
                "ida7",
                "req=af ",
                "req=a7",
                "req=404",
                "7 ",
                "go ",
                "code",
                " ",
                "at 9",
                "code 404",
                "code 405",
                ": ",
                "\n",
                "blk",
            ]
        )
    )
    .map("".join)
    .map(str.encode),
    st.none() | st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=1),
)
components = st.sampled_from([b"app", b"app: ", b"a1", b"a2", b"", None, 7, "app", [b"app"]])
records = st.one_of(
    st.fixed_dictionaries(
        {b"message": messages},
        optional={b"component": components, b"id": st.sampled_from([b"x", b""])},
    ),
    st.sampled_from([None, [], b"text", 7]),
)


def outcome(read: Any, record: Any) -> Any:
    try:
        return read(record)
    except RecordError as error:
        return error.reason


@given(
    st.lists(records, max_size=30),
    st.sampled_from(KEYS),
    st.sampled_from([None, "component"]),
    st.sampled_from([1, 700, 10**6]),
    st.sampled_from([8, 20, 8192]),
)
def test_it_gives_what_reader_and_matcher_give(
    stream: list[Any], key: str, component: str | None, cache_bytes: int, max_size: int
) -> None:
    settings = InputSettings(session_key=(key,), component_field=component)
    reader, matcher = RecordReader(settings, max_message_size=max_size), TemplateMatcher(TEMPLATES)
    own = RecordReader(settings, max_message_size=max_size)
    events = EventReader(own, TemplateMatcher(TEMPLATES), cache_bytes)

    def long_way(record: Any) -> Any:
        text, keys = reader.read(b"tag", record)
        return matcher.match(text), text, keys

    for record in stream:
        assert outcome(lambda r: events.read(b"tag", r)[:3], record) == outcome(long_way, record)
    assert own.messages_cut == reader.messages_cut


PIECES = r"""a - 7 0-9 \d \w \D . [0-9] [^0-9] [a-f0-9] [!-0-9] [!-~] [a{3}] [1-9]
[\w.-] ? + * {2} {1,3} \{3} ( ) (?: |
^ $ \b \x37 \1 (?P<n> (?P=n) \[ \]"""
pieces = st.sampled_from(PIECES.split())


@given(
    st.lists(pieces, max_size=7).map("".join),
    st.text("a-7 39{}!", max_size=8),
    st.text("0123456789", min_size=8),
)
def test_a_regex_that_takes_digits_alike_matches_whatever_they_are(
    pattern: str, text: str, digits: str
) -> None:
    assume(takes_digits_alike(pattern))
    try:
        regex = re.compile(pattern)
    except re.error:
        assume(False)
    other = "".join(
        digit if char.isdigit() else char for char, digit in zip(text, digits, strict=False)
    )
    assert [m.span() for m in regex.finditer(text)] == [m.span() for m in regex.finditer(other)]


@pytest.mark.parametrize(
    "pattern",
    ["blk_-?[0-9]+", r"req=([0-9a-f]{8}-[0-9a-f]{4})", r"(?i)job\.(\d+)", r"\[([\w.-]+)\]"],
)
def test_usual_session_keys_take_digits_alike(pattern: str) -> None:
    assert takes_digits_alike(pattern)
