"""The matcher against its definition: a regular expression a template, tried by rank."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from fluent_krone.reading.templates import UNMATCHED, WILDCARD, TemplateMatcher, novel_shape

pieces = st.text("ab01 \n\u00e9", max_size=4)
wildcards = st.sampled_from(["<*>", "<num>"])
templates = st.lists(
    st.lists(st.one_of(pieces, wildcards), min_size=1, max_size=6).map("".join),
    min_size=1,
    max_size=8,
)


class Reference:
    def __init__(self, templates: list[str]) -> None:
        self.regexes = [
            re.compile(
                b".+".join(re.escape(piece.encode()) for piece in WILDCARD.split(text)), re.DOTALL
            )
            for text in templates
        ]
        literals = [len(WILDCARD.sub("", text).encode()) for text in templates]
        gaps = [len(WILDCARD.findall(text)) for text in templates]
        self.order = sorted(range(len(templates)), key=lambda i: (-literals[i], gaps[i], i))

    def match(self, message: bytes) -> int:
        return next((i for i in self.order if self.regexes[i].fullmatch(message)), UNMATCHED)


def fill(template: str, values: list[str]) -> str:
    """A message of the template; an empty value makes it none."""
    left = iter(values)
    return WILDCARD.sub(lambda _: next(left), template)


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[str], list[bytes]]:
    texts = draw(templates)
    filled = st.builds(fill, st.sampled_from(texts), st.lists(pieces, min_size=6, max_size=6))
    messages = st.one_of(filled, st.text("ab01 ", max_size=12))
    return texts, [
        message.encode() for message in draw(st.lists(messages, min_size=1, max_size=12))
    ]


@given(cases(), st.sampled_from([1, 2, 1000]))
def test_the_matcher_is_its_definition(
    case: tuple[list[str], list[bytes]], cache_size: int
) -> None:
    texts, messages = case
    matcher, reference = TemplateMatcher(texts, cache_size), Reference(texts)
    expected = [reference.match(message) for message in messages]
    for _ in range(2):  # the second time from the cache
        assert [matcher.match(message) for message in messages] == expected


@given(st.binary(max_size=500))
def test_any_bytes_have_a_shape_that_has_no_digit(message: bytes) -> None:
    shape = novel_shape(message)
    assert len(shape) <= 200
    assert not re.search(rb"\d", shape)
