"""Templates that differ in a word which says nothing of what else happens become one."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from export.alike import merge_alike
from fluent_krone.reading.templates import TemplateMatcher

INFO, WARN = 3, 5
CURRENCIES = ("EUR", "USD")
PROVIDERS = ("visa", "paypal")
BANKS = ("NORDBK", "CAIXA", "HELVET")


def rows_of(*texts: str) -> list[dict[str, Any]]:
    return [{"template": text, "count": 100, "example": "", "wide": []} for text in texts]


def merged(texts: Sequence[str], sessions: Sequence[Sequence[str]], **given: Any) -> set[str]:
    number = {text: at for at, text in enumerate(texts)}
    steps = [[(number[text], INFO) for text in session] for session in sessions]
    return {row["template"] for row in merge_alike(rows_of(*texts), steps, **given)}


PAYING = [
    *(f"charging <num> {currency} to {name}" for currency in CURRENCIES for name in PROVIDERS),
    *(f"{name} has paid <num> {currency}" for currency in CURRENCIES for name in PROVIDERS),
    "order <num> created",
    "order <num> sent off",
]


def payments(count: int) -> Iterator[list[str]]:
    rng = random.Random(1)
    for _ in range(count):
        currency = rng.choices(CURRENCIES, (0.9, 0.1))[0]
        name = rng.choices(PROVIDERS, (0.7, 0.3))[0]
        yield [
            "order <num> created",
            f"charging <num> {currency} to {name}",
            f"{name} has paid <num> {currency}",
            *["order <num> sent off"] * (rng.random() < 0.5),
        ]


def test_words_that_change_nothing_are_values_in_each_of_their_places() -> None:
    assert merged(PAYING, [*payments(300)]) == {
        "charging <num> <*> to <*>",
        "<*> has paid <num> <*>",
        "order <num> created",
        "order <num> sent off",
    }


@pytest.mark.parametrize("key", ["event", "event.action"])
def test_what_a_key_says_of_the_event_is_no_value(key: str) -> None:
    texts = [f"{key}={what} cents=<num>" for what in ("booked", "charged")]
    sessions = [[texts[n % 2]] for n in range(200)]
    assert merged(texts, sessions) == set(texts)


def test_a_rare_word_goes_with_the_others() -> None:
    texts = [*PAYING, "charging <num> GBP to visa"]
    rare = ["order <num> created", "charging <num> GBP to visa", "visa has paid <num> EUR"]
    assert "charging <num> <*> to <*>" in merged(texts, [*payments(300), rare])
    assert not any("GBP" in text for text in merged(texts, [*payments(300), rare]))


@pytest.mark.parametrize(
    "behind", [("order <num> sent off", "order <num> kept back"), ("order <num> sent off", None)]
)
def test_a_word_that_decides_what_follows_stays(behind: Sequence[str | None]) -> None:
    texts = ["review of order <num> says yea", "review of order <num> says nay"]
    sessions = []
    for number in range(200):
        session = [texts[number % 2], behind[number % 2]]
        sessions.append([text for text in session if text])
    others = ["order <num> sent off", "order <num> kept back"]
    assert set(texts) <= merged([*texts, *others], sessions)


def test_answers_to_several_questions_stay_apart() -> None:
    texts = [f"the {name} index has answered" for name in ("catalog", "reviews", "vendors")]
    rng = random.Random(2)
    sessions = [rng.sample(texts, 3) for _ in range(300)]
    assert merged(texts, sessions) == set(texts)


def test_words_that_are_drawn_anew_for_each_event_are_values() -> None:
    """Was wrong: of two topics, most sessions that had the rarer one had the other one as well."""
    texts = [
        "event published to orders at <num>",
        "event published to taxes at <num>",
        "order sent",
    ]
    rng = random.Random(2)
    sessions = [[*rng.choices(texts[:2], (0.7, 0.3), k=2), texts[2]] for _ in range(300)]
    assert merged(texts, sessions) == {"event published to <*> at <num>", "order sent"}
    each_once = [[*rng.sample(texts[:2], k=2), texts[2]] for _ in range(300)]
    assert merged(texts, each_once) == set(texts)


@pytest.mark.parametrize(
    "texts",
    [
        ["job <num> is done: failed now", "job <num> is done: aborted now"],
        ["event=cart.loaded user=<num> service=a", "event=cart.saved user=<num> service=a"],
        ["GET /cart of user <num> done", "GET /orders of user <num> done"],
    ],
)
def test_states_names_of_events_and_routes_are_no_values(texts: list[str]) -> None:
    assert merged(texts, [[texts[number % 2]] for number in range(200)]) == set(texts)


def test_a_word_that_comes_with_another_severity_stays() -> None:
    texts = ["volume <num> looks fine today", "volume <num> looks grim today"]
    steps = [[(number % 2, INFO + 2 * (number % 2))] for number in range(200)]
    assert {row["template"] for row in merge_alike(rows_of(*texts), steps)} == set(texts)


def test_fields_before_the_message_stay() -> None:
    texts = ["[quick] order <num> sent off now", "[slow] order <num> sent off now"]
    sessions = [[texts[number % 2]] for number in range(200)]
    assert merged(texts, sessions, facet_fields=1) == set(texts)
    assert merged(texts, sessions) == {"[<*>] order <num> sent off now"}


def test_wildcards_of_several_words_stay_where_they_are() -> None:
    rows = [
        {"template": f"note <*> for {name} about <*>", "count": 9, "example": "", "wide": [0]}
        for name in ("ann", "bob")
    ]
    [row] = merge_alike(rows, [[(number % 2, INFO)] for number in range(100)])
    assert row["template"] == "note <*> for <*> about <*>"
    assert row["count"] == 18
    matcher = TemplateMatcher([row["template"]], wide=[row["wide"]])
    assert matcher.match(b"note two words for eve about x") == 0
    assert matcher.match(b"note two words for adam eve about x") != 0


def test_names_of_fields_are_words_that_are_left() -> None:
    texts = [f"{verb} {bank} id=<num> amt=<num>" for verb in ("send", "get") for bank in BANKS]
    rng = random.Random(3)
    sessions = [
        [f"{v} {b} id=<num> amt=<num>" for v in ("send", "get")] for b in rng.choices(BANKS, k=300)
    ]
    assert merged(texts, sessions) == {"send <*> id=<num> amt=<num>", "get <*> id=<num> amt=<num>"}


def test_a_lone_capital_is_a_name_and_no_article() -> None:
    texts = [f"call <num> goes by link {link}" for link in "ABC"]
    sessions = [[texts[number % 3]] for number in range(300)]
    assert merged(texts, sessions) == {"call <num> goes by link <*>"}
    texts = ["call <num> is a loop", "call <num> is the loop"]
    assert merged(texts, [[texts[number % 2]] for number in range(300)]) == set(texts)


def test_what_is_a_value_nearly_everywhere_is_one_in_rare_templates() -> None:
    """Wrong before: of nine devices that went back to old firmware, the tenth was news."""
    usual = [f"action={what} region=<*> model=<*> result=done" for what in ("joined", "left")]
    rare = [
        "action=rolledback region=north model=tx<num> result=done",
        "action=rolledback region=south model=<*> result=done",
        "action=rolledback region=coast model=gw1 result=failed",
    ]
    rows = rows_of(*usual, *rare)
    for row in rows[len(usual) :]:
        row |= {"count": 2, "wide": [0]}
    found = {row["template"]: row for row in merge_alike(rows, [])}
    assert set(found) == {
        *usual,
        "action=rolledback region=<*> model=<*> result=done",
        "action=rolledback region=<*> model=<*> result=failed",
    }
    assert found["action=rolledback region=<*> model=<*> result=done"]["count"] == 4


@pytest.mark.parametrize("usual", ["mode=<*>", "mode=calm"])
def test_a_key_that_one_template_has_or_that_says_words_keeps_them(usual: str) -> None:
    texts = [f"pump runs {usual}", "valve opens mode=storm", "valve shuts mode=storm"]
    rows = rows_of(*texts)
    rows[1]["count"] = rows[2]["count"] = 2
    assert {row["template"] for row in merge_alike(rows, [])} == set(texts)


@pytest.mark.parametrize("form", ["MERGE {}: <num> rows", "told #{}: <num> rows are fresh"])
def test_a_value_may_stand_before_a_colon(form: str) -> None:
    """Was wrong: it was taken for a label, and the steps around it were kept apart by it."""
    tables = ("orders", "items", "returns")
    texts = [form.format(table) for table in tables]
    texts += [f"analysis of {table} took <num>" for table in tables]
    sessions = [[texts[n % 3], texts[n % 3 + 3]] for n in range(300)]
    assert merged(texts, sessions) == {form.format("<*>"), "analysis of <*> took <num>"}


def test_what_stands_first_before_a_colon_is_a_label() -> None:
    texts = ["Order: <num> was taken", "Invoice: <num> was taken", "done"]
    assert merged(texts, [[texts[n % 2], "done"] for n in range(300)]) == set(texts)


def test_a_rare_level_of_a_usual_message_takes_its_wildcards() -> None:
    """Wrong before: a single FATAL line kept its words, and took the usual lines that have them."""
    usual = [f"[INFO] {text}" for text in PAYING]
    rare = "[FATAL] charging <num> EUR to visa"
    other = "[FATAL] charging <num> EUR to hand"
    rows = [*rows_of(*usual), *rows_of(rare, other)]
    rows[-2]["count"] = rows[-1]["count"] = 1
    number = {row["template"]: at for at, row in enumerate(rows)}
    sessions = [[(number[f"[INFO] {text}"], INFO) for text in one] for one in payments(400)]
    sessions[7].append((number[rare], WARN))
    templates = {row["template"] for row in merge_alike(rows, sessions, facet_fields=1)}
    assert "[FATAL] charging <num> <*> to <*>" in templates
    assert rare not in templates
    # Often enough, it tells by itself whether its words are values.
    rows[-2]["count"] = rows[-1]["count"] = 50
    assert rare in {row["template"] for row in merge_alike(rows, sessions, facet_fields=1)}
