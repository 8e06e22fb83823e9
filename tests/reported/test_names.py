"""Names of several words, of persons, places and things, are one value.

Was wrong: behind a preposition only the first word was a value, so each name of several words made
a template of its own; and the wildcard of a mail address, an id or a number with an exponent took
any word, so a failure was an old line.
"""

from __future__ import annotations

from random import Random

import pytest

from export.mine import MinedTemplates, mine
from fluent_krone.reading.templates import UNMATCHED, TemplateMatcher

FIRST = ("Anna", "Ben", "Clara", "David", "Elena", "Farid", "Greta", "Hugo", "Ines", "Jonas")
LAST = ("Smith", "Jones", "Müller", "Garcia", "Okafor", "Rossi", "Petrov", "Yamada", "Novak")
CITIES = "Berlin|New York|San Francisco|The Hague|Rio de Janeiro|Oslo|Buenos Aires|Cape Town|Lima"
TABLES = (
    "customer orders|line items|web sessions|price list|stock levels|gift cards|sales tax table"
)


def person(rng: Random) -> str:
    """A name of two words, or of three."""
    return " ".join([*rng.choices(FIRST, k=rng.choice((1, 1, 2))), rng.choice(LAST)])


def matcher_of(mined: MinedTemplates) -> TemplateMatcher:
    return TemplateMatcher(mined.templates, wide=mined.wide)


@pytest.mark.parametrize(
    ("form", "name"),
    [
        ("file a{n}.pdf uploaded by {name}", "<name>"),
        ("ticket {n} for {name} printed", "<name>"),
        ("Auftrag {n} wurde angelegt von {name}", "<name>"),
        ("dossier {n} ouvert par {name} et transmis", "<name>"),
        ("pedido {n} creado por {name}", "<name>"),
        ("meeting {n} of {name} is over", "<name>"),
    ],
)
def test_names_of_persons(form: str, name: str) -> None:
    rng = Random(1)
    lines = [form.format(n=n, name=person(rng)) for n in range(100, 300)]
    mined = mine([*lines, *["started"] * 3])
    assert len(mined.templates) == 2
    assert name in mined.templates[0]
    matcher = matcher_of(mined)
    assert matcher.match(form.format(n=7000, name="Zoe Mary Brown").encode()) != UNMATCHED
    for new in ("Zoe Brown failed", "nobody because the directory is down"):
        assert matcher.match(form.format(n=7000, name=new).encode()) == UNMATCHED


@pytest.mark.parametrize(
    ("names", "forms"),
    [
        (CITIES, ("delay of {n} minutes at {name}", "arrived in {name} on track {n}")),
        (TABLES, ("{n} rows for table {name}", "checked {name}: {n} duplicates")),
    ],
)
def test_names_of_places_and_things(names: str, forms: tuple[str, ...]) -> None:
    known = names.split("|")
    lines = [form.format(n=n, name=known[n % len(known)]) for n in range(200) for form in forms]
    assert len(mine(lines).templates) == len(forms)


def test_what_happens_is_no_name() -> None:
    forms = [
        f"order {{n}} was {what}"
        for what in ("taken in", "sent off", "paid twice", "given up", "sent back", "put by")
    ]
    assert len(mine(form.format(n=n) for n in range(40) for form in forms).templates) == len(forms)


def test_a_few_usual_phrases_behind_one_preposition_are_steps() -> None:
    waits = ("disk flush", "lock release", "peer ack", "user input", "quota check", "data sync")
    lines = [f"{n}: waiting for {wait}" for n in range(100, 130) for wait in waits]
    assert len(mine(lines, by_sessions=True).templates) == len(waits)
    forms = ("{n} rows of {name} read", "{n} rows put into {name}")
    rows = [form.format(n=n, name=name) for n in range(30) for name in waits for form in forms]
    assert len(mine(rows, by_sessions=True).templates) == len(forms)


@pytest.mark.parametrize(
    ("words", "by_sessions", "templates"),
    [
        ("extract load rates dims transform", True, 5),
        # Nothing else tells whether they are values.
        ("extract load rates dims transform", False, 1),
        # More are names.
        (" ".join(f"{one}{two}ta" for one in "klmnp" for two in "aeiou"), True, 1),
    ],
)
def test_a_few_usual_words_in_the_place_of_a_value_stay_apart(
    words: str, by_sessions: bool, templates: int
) -> None:
    # Were wrong: all tasks of a scheduler were one step.
    lines = [f"Executing <Task({w})> on worker-{n}" for n in range(9, 39) for w in words.split()]
    assert len(mine(lines, by_sessions=by_sessions).templates) == templates


@pytest.mark.parametrize(
    ("values", "form", "new"),
    [
        ("ann{n}@{w}.example.com", "reminder to {}", "nobody"),
        ("v{n}.{m}.3", "upgrading to {}", "latest"),
        ("v{n}.{m}.3", "upgrading to {}", "v1.2.3 aborted"),
        ("{m}.5e{s}0{n}", "loss {} at step 3", "nan"),
        ("a{n}k{m}00p", "token {} was issued", "expired"),
        ("{n:08X}", "block {} verified", "mismatch"),
    ],
)
def test_values_take_only_their_kind(values: str, form: str, new: str) -> None:
    made = [
        values.format(n=n, m=n % 13, w="abcdefgh"[n % 8] * 3, s="-+"[n % 2]) for n in range(9, 99)
    ]
    mined = mine([*(form.format(value) for value in made), *["started"] * 3])
    assert len(mined.templates) == 2
    matcher = matcher_of(mined)
    assert matcher.match(form.format(made[5]).encode()) != UNMATCHED
    assert matcher.match(form.format(new).encode()) == UNMATCHED


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("{a} signed contract {n}", 1),
        ("{a} -> {b}: {n} bytes", 2),
        ("player {a} was killed by {b} in round {n}", 2),
        ("test {a}_{b}::{a} ... ok", 2),
    ],
)
def test_names_that_nothing_marks(form: str, words: int) -> None:
    """Was wrong: the first word of a message, and one of two words, never was a value."""
    rng = Random(2)
    names = ["".join(rng.choices("bdfgklmnprst", k=3)) + "ay" for _ in range(80)]
    lines = [form.format(a=name, b=rng.choice(names), n=n) for n, name in enumerate(names)]
    mined = mine([*lines, *["started"] * 3])
    assert len(mined.templates) == 2
    assert matcher_of(mined).match(form.format(a="zoxi", b="kaxu", n=5).encode()) != UNMATCHED


@pytest.mark.parametrize(
    ("form", "names", "failed"),
    [
        ("用户{}登录成功", "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗", "用户王登录失败"),
        (
            "{}様の予約を確認しました",
            "田中|佐藤|鈴木|高橋|伊藤|渡辺|山本|中村|小林|加藤|吉田|山田|森",
            "林様の予約に失敗",
        ),
        (
            "{}님이 로그인했습니다",
            "김민서|이준우|박지영|최수진|정은호|강민우|조서준|윤지호|장영수|임현우|한수민|오진호",
            "김민서님이 로그인에 실패",
        ),
    ],
)
def test_names_inside_words_of_scripts_without_blanks(form: str, names: str, failed: str) -> None:
    known = names.split("|")
    if len(known) == 1:
        known = [a + b for a, b in zip(names, names[1:] + names[:1], strict=True)]
    mined = mine([*(form.format(name) for name in known), *["started"] * 3])
    assert len(mined.templates) == 2
    assert matcher_of(mined).match(failed.encode()) == UNMATCHED


def test_free_text_behind_a_name() -> None:
    rng = Random(3)
    names = ["".join(rng.choices("bdfgklmnprst", k=4)) for _ in range(200)]
    lines = [
        f"comment by {name}: {' '.join(rng.choices(names, k=rng.randrange(2, 7)))}"
        for name in names
    ]
    assert len(mine([*lines, *["started"] * 3]).templates) == 2
