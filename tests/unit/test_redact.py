"""What must not leave the machine is masked, what makes sense of a log is not."""

from __future__ import annotations

import string
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from unit.test_redact_forms import FORMS, HARMLESS

from fluent_krone.errors import ConfigError
from fluent_krone.explain.redact import MAX_LENGTH, plain, redactor

redact = redactor()

SECRETS = [text for text, _ in FORMS["of many kinds"]]

LOT = "aB3dE5gH7jK9mN2pQ4sT6vX8zA1cF0iL5oR"  # random, says the rule


def test_masks_say_what_was_there() -> None:
    line = "user=bob@example.com 10.0.0.7 4111111111111111 password=x sk-live-" + LOT
    assert redact(line) == "user=<email> <ip> <card> password=<secret> <token>"


def test_what_stands_beside_a_secret_is_still_read() -> None:
    assert redact("retry 3, password=x, disk full") == "retry 3, password=<secret>, disk full"
    assert redact("a?token=x&page=2") == "a?token=<secret>&page=2"


def test_the_end_of_a_quoted_line_stays() -> None:
    text = "“queued for user ada,” came after “token=x1”. None has “for user bob”."
    assert redact(text) == (
        "“queued for user <user>” came after “token=<secret>”. None has “for user <user>”."
    )


def test_a_number_that_fails_the_card_check_is_no_card() -> None:
    assert redact("took 4111111111111112 ns") == "took 4111111111111112 ns"


WORDS = (
    "password token cookie authorization bearer user uid 1.2.3.4 /home/ eyJ <ip> "
    r""":: // " ' \ = : @ - , < > a 7"""
)
pieces = st.sampled_from([*SECRETS, *HARMLESS, *WORDS.split(), " ", "for user ", "\n"])
texts = st.lists(pieces | st.text(max_size=4), max_size=12).map("".join)


@given(texts)
@example("Authorization: Bearer x")
@example('password="<secret>')
def test_masking_twice_is_masking_once(text: str) -> None:
    once = redact(text)
    assert redact(once) == once


@given(texts)
def test_an_operators_expression_is_idempotent_too(text: str) -> None:
    also = redactor(["/[a-e]+/", "/secret|redacted|ip/"])
    once = also(text)
    assert also(once) == once


HOSTILE = [
    "a",
    "password=",
    'password="',
    "a@",
    "a:",
    "://",
    "-----BEGIN A-----",
    "1.",
    "-",
    "--password ",
    "eyJaaaaa",
]
HOSTILE += [
    "insert into a (password) values ('",
    "recovery codes a1b2 ",
    "a [at] b ",
    "7 Long ",
    "seed words abc ",
    '"a"@b.',
    '"\\',
    "password=<num>",
    "0123456789abcdef",
    "/home/",
    "=_",
    "é",
    ",a",
    "authorization: a ",
    "4111 ",
    "\\",
    "a.b@",
    "login 'a',",
    "connect(a,",
    "bind as a with ",
    '"password",',
    "2fa: got ",
    "your code ",
    "Aa 1, ",
    "address: Aa 1 ",
    "name: Aa Bb ",
    "calle de la ",
    "-u a ",
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_long_hostile_texts_are_masked_in_linear_time(piece: str) -> None:
    """100 kB: were it quadratic, this would take minutes; a timing would only measure the
    machine.
    """
    assert isinstance(redact(piece * (100_000 // len(piece)) + "!"), str)


def test_an_operators_expressions() -> None:
    also = redactor(["/order [0-9]+/", r"/a\/b/"])
    assert (
        also("order 17 of a/b for bob, password=x")
        == "<redacted> of <redacted> for bob, password=<secret>"
    )


def test_what_an_operators_expression_did_not_see_does_not_leave() -> None:
    assert "17" not in redactor(["/order [0-9]+/"])("." * MAX_LENGTH + "order 17")


def test_an_operators_expression_leaves_masks_whole() -> None:
    assert redactor(["/[a-z]+/"])("of <num> and 10.0.0.7") == "<redacted> <num> <redacted> <ip>"


@pytest.mark.parametrize("broken", ["/(/", "order", "/x*/", "//", "/[/", "/a"])
def test_a_broken_expression_is_the_operators_to_mend(broken: str) -> None:
    with pytest.raises(ConfigError, match="explain_redact"):
        redactor([broken])


def test_what_can_not_be_seen_goes() -> None:
    assert (
        plain("pass\u200bword\u202e=\ufeffx\x00\x1b[31m\U000e0041\ud800\ufe0f") == "password=x[31m"
    )
    assert plain("two\nlines\tand\u2028more") == "two lines and more"
    assert plain("Grüße, 你好, 𝒳, é") == "Grüße, 你好, 𝒳, é"


@given(st.text())
def test_a_plain_text_stays_plain(text: str) -> None:
    once = plain(text)
    assert plain(once) == once
    assert not any(unicodedata.category(character)[0] == "C" for character in once)
    assert set(once) & set(string.printable) <= set(string.printable) - set("\n\r\t\v\f")
