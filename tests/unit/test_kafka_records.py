"""Messages as records: formats, tags, and copies that are meant for one session."""

from __future__ import annotations

import json
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluent_krone.config import Config
from fluent_krone.errors import ConfigError, RecordError
from fluent_krone.kafka.records import (
    SESSION_HEADER,
    TAG_HEADER,
    Addressed,
    AddressedReader,
    Decoder,
    session_header,
    session_of,
)
from fluent_krone.reading.records import InputSettings, RecordReader
from fluent_krone.reading.templates import TemplateMatcher
from fluent_krone.reading.values import as_fields


class Message:
    """What the client hands out, as far as the decoder looks at it."""

    def __init__(self, value: bytes | None, headers: Any = None) -> None:
        self._value = value
        self._headers = headers

    def value(self) -> bytes | None:
        return self._value

    def headers(self) -> Any:
        return self._headers

    def timestamp(self) -> tuple[int, int]:
        return 1, 1_700_000_000_123


def decoder(**config: Any) -> Decoder:
    return Decoder(Config(topic="logs", **config), "message")


def only(decoder: Decoder, message: Message) -> tuple[str, int, Any]:
    [(tag, (time_ns, record), _)] = decoder.tagged([message])
    return tag, time_ns, record


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), values, max_size=5))
def test_json_and_msgpack_give_what_the_other_inputs_give(record: dict[str, Any]) -> None:
    expected = as_fields(record)
    assert decoder().decode(json.dumps(record).encode()) == expected
    packed = msgpack.packb(record, unicode_errors="surrogatepass")
    assert decoder(record_format="msgpack").decode(packed) == expected


def test_text_is_the_message_and_bytes_that_are_no_utf8_stay() -> None:
    assert decoder(record_format="text").decode(b"a \xff") == {b"message": b"a \xff"}
    assert decoder().decode(b'{"message": "a \xff"}') == {b"message": b"a \xff"}


@pytest.mark.parametrize("value", [b"no json", b"", b'{"a": ', b"[" * 100_000])
def test_what_cannot_be_read_is_an_error_in_the_records_place(value: bytes) -> None:
    found = decoder().decode(value)
    assert isinstance(found, RecordError)
    assert found.reason == "undecodable"


def test_an_empty_message_has_no_message() -> None:
    assert decoder().decode(None).reason == "no_message"


def test_a_request_of_opentelemetry_is_one_record_for_each_log() -> None:
    log = {
        "timeUnixNano": "1700000000000000007",
        "traceId": "5b8e",
        "severityText": "ERROR",
        "body": {"stringValue": "served"},
        "attributes": [{"key": "n", "value": {"intValue": "3"}}],
    }
    request = {
        "resourceLogs": [
            {
                "resource": {"attributes": [{"key": "pod", "value": {"stringValue": "a"}}]},
                "scopeLogs": [{"logRecords": [log, {"body": {"kvlistValue": {}}}]}],
            }
        ]
    }
    value = json.dumps(request).encode()
    found = list(decoder(record_format="otlp_json").tagged([Message(value)]))
    assert [event for _, event, _ in found] == [
        (
            1_700_000_000_000_000_007,
            {
                b"pod": b"a",
                b"n": b"3",
                b"trace_id": b"5b8e",
                b"severity": b"ERROR",
                b"message": b"served",
            },
        ),
        (1_700_000_000_123_000_000, {b"pod": b"a", b"message": {}}),
    ]
    for other in (b"{}", b"[]", b'{"resourceLogs": [7]}', b'{"resourceLogs": 7}'):
        assert decoder(record_format="otlp_json").decode(other).reason == "undecodable"


def test_the_time_is_the_brokers_in_nanoseconds() -> None:
    assert only(decoder(), Message(b"{}"))[1] == 1_700_000_000_123_000_000


@pytest.mark.parametrize(
    ("source", "headers", "record", "tag"),
    [
        ("topic", None, b"{}", "logs"),
        ("topic", [(TAG_HEADER, b"app")], b"{}", "app"),
        ("header:t", [("t", b"web"), ("u", b"x")], b"{}", "web"),
        ("header:t", [("t", None)], b"{}", "logs"),
        ("header:t", None, b"{}", "logs"),
        ("field:$.kubernetes.pod", None, b'{"kubernetes": {"pod": "a"}}', "a"),
        ("field:$.kubernetes.pod", None, b"[]", "logs"),
        ("field:n", None, b'{"n": 7}', "7"),
        ("field:n", None, b'{"n": {}}', "logs"),
    ],
)
def test_the_tag_comes_from_topic_header_or_field(
    source: str, headers: Any, record: bytes, tag: str
) -> None:
    assert only(decoder(record_tag=source), Message(record, headers))[0] == tag


@pytest.mark.parametrize("source", ["", "field:", "header", "tag:x"])
def test_another_source_of_tags_is_refused(source: str) -> None:
    with pytest.raises(ConfigError, match="record_tag must be"):
        decoder(record_tag=source)


def events(*, session_key: tuple[str, ...]) -> AddressedReader:
    reader = RecordReader(InputSettings(session_key=session_key))
    return AddressedReader(reader, TemplateMatcher(["served <*>"]))


def test_a_copy_is_an_event_of_its_own_session_only() -> None:
    message = b'{"message": "served blk_1 blk_2"}'
    reader = events(session_key=("/blk_[0-9]+/",))
    whole = only(decoder(), Message(message))[2]
    assert reader.read(b"", whole)[2] == [(b"blk_1",), (b"blk_2",)]
    headers = [(SESSION_HEADER, session_header((b"blk_2",)))]
    for _ in range(3):  # also once the shape is remembered
        copy = only(decoder(), Message(message, headers))[2]
        assert isinstance(copy, Addressed)
        assert reader.read(b"", copy)[2] == [(b"blk_2",)]
    stray = Addressed(whole, (b"blk_9",))
    with pytest.raises(RecordError) as failure:
        reader.read(b"", stray)
    assert failure.value.reason == "no_session_key"


@given(st.lists(st.binary(), max_size=4).map(tuple))
def test_a_session_key_comes_back_from_its_header(key: tuple[bytes, ...]) -> None:
    assert session_of(session_header(key)) == key


@given(st.binary())
def test_any_header_is_taken(header: bytes) -> None:
    session_of(header)
