"""Message → log key."""

from __future__ import annotations

import pytest

from export.mine import mine
from fluent_krone.reading.mask import Masker
from fluent_krone.reading.templates import UNMATCHED, TemplateMatcher, novel_shape, template_id


@pytest.mark.parametrize(
    ("template", "message", "fits"),
    [
        ("plain", b"plain", True),
        ("plain", b"plain text", False),
        ("a <*>", b"a b", True),
        ("a <*>", b"a ", False),
        ("<*>", b"x", True),
        ("<*>", b"", False),
        ("<*> b", b"a b", True),
        ("a <*> b <*> c", b"a 1 b 2 c", True),
        ("a <*> b <*> c", b"a 1 b b 2 b c", True),
        ("a <*> b", b"a  b", False),
        ("ab<*>ba", b"aba", False),
        ("ab<*>ba", b"abba", False),
        ("ab<*>ba", b"ab-ba", True),
        ("<*><*>", b"x", False),
        ("<*><*>", b"xy", True),
        ("a<*><num>b", b"axb", False),
        ("a<*><num>b", b"axyb", False),
        ("a<*><num>b", b"ax7b", True),
        ("x<*>ab<*>", b"xababc", True),
        ("<num> of <num>", b"any of words", False),
        ("<num> of <num>", b"3 of 17", True),
        ("no <B> wildcard", b"no <B> wildcard", True),
        ("no <B> wildcard", b"no x wildcard", False),
        ("line one\n<*>", b"line one\n\tat two\n\tat three", True),
        ("gr\u00fc\u00dfe <*>", "gr\u00fc\u00dfe dich".encode(), True),
        ("a <*> b", b"a \xff\xfe b", True),
    ],
)
def test_a_wildcard_is_one_or_more_bytes_of_anything(
    template: str, message: bytes, fits: bool
) -> None:
    assert TemplateMatcher([template]).match(message) == (0 if fits else UNMATCHED)


def test_most_literal_bytes_win_then_fewest_wildcards_then_order() -> None:
    assert TemplateMatcher(["a <*>", "a b <*>"]).match(b"a b c") == 1
    assert TemplateMatcher(["a <*><*>", "a <*>"]).match(b"a bc") == 1
    assert TemplateMatcher(["<*> a", "a <*>"]).match(b"a a") == 0


def test_digits_of_a_template_come_before_a_wildcard() -> None:
    matcher = TemplateMatcher(["code 404", "code <*>", "code 500"])
    assert [matcher.match(m) for m in (b"code 404", b"code 500", b"code 200", b"code 404")] == [
        0,
        2,
        1,
        0,
    ]


def test_a_tiny_cache_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    templates = ["code 404", "code <num>", "user <*>"]
    large = TemplateMatcher(templates)
    monkeypatch.setattr("fluent_krone.reading.templates._KEY_BYTES", 1)
    small = TemplateMatcher(templates)
    for message in (b"code 404", b"user a", b"code 7", b"code 404", b"nothing", b"user 404") * 3:
        assert small.match(message) == large.match(message)


def test_what_stands_for_no_match_can_be_chosen() -> None:
    assert TemplateMatcher(["a"], unmatched=1).match(b"b") == 1
    assert TemplateMatcher([]).match(b"b") == UNMATCHED


def test_a_hostile_message_costs_linear_time() -> None:
    matcher = TemplateMatcher(["<*>".join("aaaaaaaaaaaa") + "b"])
    assert matcher.match(b"a" * 100_000) == UNMATCHED


def test_template_ids_are_pinned() -> None:
    """They are in alert ids: another hash would make every alert new."""
    assert template_id("bye <*>") == "bf85a13145686aeb"
    assert template_id("a") != template_id("b")


def test_novel_shapes_are_coarse_and_bounded() -> None:
    assert novel_shape(b"disk sda1 lost 17 sectors") == b"disk <*> lost <*> sectors"
    assert len(novel_shape(b"word " * 10_000)) <= 200


@pytest.mark.parametrize(
    "text",
    ["frame=   54 fps= 7 size=     9kB", "frame=54 fps=7 size=9kB", "frame= 54 fps=   7 size=9kB"],
)
def test_blanks_that_fill_a_column_up_make_no_template(text: str) -> None:
    """Wrong before: each width of a number was a step of its own."""
    form = Masker(None).form(text)
    assert form == "frame=<num> fps=<num> size=<num>"
    assert TemplateMatcher([form]).slots(0, text.encode()) == (b"54", b"7", b"9kB")


@pytest.mark.parametrize("separator", ["|", "\x01", ";"])
def test_names_of_fields_may_be_numbers(separator: str) -> None:
    """Wrong before: the names were values, so that messages of all kinds had one template."""
    order = separator.join(["8=FIX.4.4", "9=112", "35=D", "38=500", "58=was too late", "10=7"])
    form = Masker(None).form(order)
    fields = ["8=FIX.4.4", "9=<num>", "35=D", "38=<num>", "58=was too late", "10=<num>"]
    assert form == separator.join(fields)
    assert TemplateMatcher([form]).slots(0, order.encode()) == (b"112", b"500", b"7")
    assert TemplateMatcher([form]).match(order.replace("38=", "44=").encode()) == UNMATCHED
    # One sum is no list of fields.
    assert Masker(None).form("checked that 3=4 failed") == "checked that <num>=<num> failed"


def test_numbers_that_name_fields_tell_templates_apart() -> None:
    """Wrong before: 14 and 151 were two values in one place, and so were what they named."""
    lines = [
        f"8=FIX.4.4|35=8|1={account}|{field}={number}|10={number % 7}|"
        for number in range(40)
        for account in ("HF1", "PB22", "RT3")
        for field in (14, 151)
    ]
    assert set(mine(lines).templates) == {
        f"8=FIX.4.4|35=<num>|1=<code>|{field}=<num>|10=<num>|" for field in (14, 151)
    }
