"""A rule is skipped only where it would find nothing."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from unit.test_redact import SECRETS

from fluent_krone.explain.rules import RULES, Choice, Folded
from fluent_krone.explain.rules.needs import needs

CHOICE = Choice(rule.needs for rule in RULES)

# Few characters, so that patterns match often; among them all letters beyond ASCII that Python
# takes for ASCII ones when capitals do not matter.
ALPHABET = "aAbiIkKsS019 _-=:@\u0130\u0131\u017f\u212aé…"
texts = st.text(alphabet=ALPHABET, max_size=12)

atoms = st.one_of(
    st.text(alphabet="aibksIK019 _-=:@éıſ", min_size=1, max_size=3).map(re.escape),
    st.sampled_from(
        ["[0-9]", "[a-k]", "[_-]", "[^a]", "[A-S]", r"\w", r"\s", r"\S", ".", "[is]", "[éa]"]
    ),
    st.sampled_from(["(?<![a-z])", "(?!k)", "(?=[0-9]k)", "(?<=s)", "^", "$", r"\b"]),
)


def _more(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"(?:{'|'.join(parts)})"),
        inner.map(lambda part: f"(?-i:{part})"),
        inner.map(lambda part: f"(?={part})"),
        inner.map(lambda part: f"({part})"),
        st.tuples(
            inner, st.sampled_from(["?", "*", "+", "{2}", "{1,3}", "{0,2}+", "{3,}", "+?"])
        ).map(lambda both: f"(?:{both[0]}){both[1]}"),
    )


patterns = st.recursive(atoms, _more, max_leaves=8)


@given(patterns, texts)
@example("(?:[a-k]{3})", "AİK")
@example("[0-9]{2}-?k", "17K")
def test_a_text_that_matches_meets_all_needs(pattern: str, text: str) -> None:
    try:
        found = re.search(pattern, text, re.IGNORECASE)
    except re.error:
        return
    if found is not None:
        shown = Folded(text)
        assert Choice([needs(pattern)]).of(shown) == [0]


@pytest.mark.parametrize("pattern", ["passw(?:or)?d=", "(?:ab|cd)[0-9]{2}x", "(?<=://)[a-z]+@"])
def test_needs_rule_out_texts(pattern: str) -> None:
    shown = Folded("nothing of that kind is here")
    assert Choice([needs(pattern)]).of(shown) == []


def test_no_other_letter_is_taken_for_an_ascii_one() -> None:
    beyond = "".join(map(chr, [*range(128, 0xD800), *range(0xE000, 0x110000)]))
    alike = re.findall("[a-z0-9]", beyond, re.IGNORECASE)
    assert b"?" not in Folded("".join(alike)).text
    assert all(re.fullmatch(Folded(one).text.decode(), one, re.IGNORECASE) for one in alike)


secrets = st.sampled_from(SECRETS)


@given(secrets, secrets, st.integers(0, 60), st.integers(0, 60), texts)
def test_rules_find_nothing_where_they_are_skipped(
    one: str, other: str, end: int, start: int, between: str
) -> None:
    text = one[:end] + between + other[start:]
    shown = Folded(text)
    tried = set(CHOICE.of(shown))
    for number, rule in enumerate(RULES):
        if number not in tried:
            assert rule(text) == text


def test_most_rules_are_skipped_for_a_usual_sentence() -> None:
    shown = Folded("Received block of size 67108864 from the third node, which no session has.")
    assert len(CHOICE.of(shown)) < len(RULES) / 3


def test_a_name_that_is_none_of_a_person_costs_no_rule_for_those() -> None:
    choice = Choice([rule.needs for rule in RULES if "maiden" in rule.pattern])
    assert choice.of(Folded("NameSystem.addStoredBlock: hostname was renamed")) == []
    assert choice.of(Folded("maiden_name: Lovelace"))
