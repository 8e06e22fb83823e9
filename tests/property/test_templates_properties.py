"""The matcher against its definition: a regular expression a template, tried by rank."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive_matcher import NaiveMatcher

from fluent_krone.reading.templates import UNMATCHED, WILDCARD, TemplateMatcher, novel_shape

pieces = st.text("ab01 \n\u00e9", max_size=4)
# Values of every type, and pieces of them; ids of every alphabet.
values = st.one_of(
    pieces,
    st.sampled_from(["1", "-3", "<5", "1.5", "12:30", "NaN", "10.0.0.1", "10.0.0.1:80", "::1"]),
    st.sampled_from(["dead", "0x1f", "deadbeef", "a/b", "/", "/a", "C:\\x", "http://a/b", "a.b:8"]),
    st.uuids().map(str),
    st.text("0123456789abcdef-", min_size=1, max_size=12),
    st.text("ABCXYZ234567_", min_size=1, max_size=8),
)
kinds = ["*", "num", "ip", "hex", "url", "path", "host", "nth", "where", "id", "str", "file"]
wildcards = st.sampled_from([f"<{kind}>" for kind in kinds])
literals = st.one_of(pieces, st.sampled_from([" to ", "a b", ":", "/", "=", '"', "x"]))
templates = st.lists(
    st.lists(st.one_of(literals, wildcards), min_size=1, max_size=6).map("".join),
    min_size=1,
    max_size=8,
)


def fill(template: str, values: list[str]) -> str:
    """A message of the template; an empty value makes it none."""
    left = iter(values)
    return WILDCARD.sub(lambda _: next(left), template)


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[str], list[set[int] | None], list[bytes]]:
    texts = draw(templates)
    wide = [draw(st.none() | st.sets(st.integers(0, 3), max_size=2)) for _ in texts]
    filled = st.builds(fill, st.sampled_from(texts), st.lists(values, min_size=6, max_size=6))
    messages = st.one_of(filled, st.text("ab01 ", max_size=12))
    drawn = draw(st.lists(messages, min_size=1, max_size=12))
    return texts, wide, [message.encode() for message in drawn]


@given(cases(), st.sampled_from([1, 300, 10**6]))
def test_the_matcher_is_its_definition(
    case: tuple[list[str], list[set[int] | None], list[bytes]], key_bytes: int
) -> None:
    texts, wide, messages = case
    naive = NaiveMatcher(texts, wide)
    expected = [naive.match(message) for message in messages]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fluent_krone.reading.templates._KEY_BYTES", key_bytes)
        matcher = TemplateMatcher(texts, wide=wide)
    # The second time from the cache.
    for _ in range(2):
        assert [matcher.match(message) for message in messages] == expected
    for message, found in zip(messages, expected, strict=True):
        if found != UNMATCHED:
            assert list(matcher.slots(found, message)) == naive.slots(found, message)


@given(cases(), st.text("0123456789", min_size=60, max_size=60))
def test_a_sure_message_has_its_template_whatever_its_digits_are(
    case: tuple[list[str], list[set[int] | None], list[bytes]], digits: str
) -> None:
    texts, wide, messages = case
    matcher = TemplateMatcher(texts, wide=wide)
    for message in messages:
        left = iter(digits.encode() * 2)
        other = bytes(next(left) if 48 <= byte <= 57 else byte for byte in message)
        if matcher.is_sure(message):
            assert matcher.match(other) == matcher.match(message)


@given(st.binary(max_size=500))
def test_any_bytes_have_a_shape_that_has_no_digit(message: bytes) -> None:
    shape = novel_shape(message)
    assert len(shape) <= 200
    assert not re.search(rb"\d", shape)
