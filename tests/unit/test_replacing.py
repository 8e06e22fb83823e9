"""What a new step stands for: told from its place and, where that is not enough, from its words."""

from __future__ import annotations

import pytest

from fluent_krone.core.deploys.replacing import ADDED, END, START, UNDECIDED, Replacing, Run
from fluent_krone.core.deploys.wording import Wording

TEMPLATES = [
    "order <num> accepted",
    "stock of <num> reserved",
    "invoice of order <num> sent to customer",
    "order <num> closed",
]
# Steps 1 and 2 run side by side: training had each of them before the other, and step 2 between.
NORMAL = [(0, 1, 2, 3), (0, 2, 1, 3), (0, 1, 2, 3)]
RENAMED = "invoice of order <num> mailed to customer"


def nobody_ended(*_: object) -> None:
    return None


def test_a_step_among_others_stands_for_the_one_that_ended_sessions_lack() -> None:
    replacing = Replacing(TEMPLATES, NORMAL)
    runs = {Run(1, (7,), 3): 10, Run(0, (7,), 1): 10}
    found, _ = replacing.stand_for(runs, {7: RENAMED}, {}, lambda *_: 1.0)
    assert found == {7: 2}


def test_words_decide_where_no_session_has_ended() -> None:
    replacing = Replacing(TEMPLATES, NORMAL)
    runs = {Run(1, (7,), 3): 10, Run(0, (7,), 1): 10}
    found, _ = replacing.stand_for(runs, {7: RENAMED}, {}, nobody_ended)
    assert found == {7: UNDECIDED}
    assert replacing.by_words(7, RENAMED, runs) == 2
    assert replacing.by_words(7, "audit trail written", runs) == ADDED


def test_another_value_makes_a_variant_and_another_name_does_not() -> None:
    templates = [
        "event=cart.loaded service=cart items=<num>",
        "event=hits.ranked service=search hits=<num> model=v3",
        "event=paid service=ledger amount=<num> currency=EUR",
        "event=freed service=stock amount=<num> currency=EUR",
        "event=asked service=search hits=<num>",
    ]
    wording = Wording(templates)
    assert wording.is_variant("event=paid service=ledger amount=<num> currency=XXX")
    assert not wording.is_variant("event=results.trimmed service=search hits=<num>")
    assert wording.siblings(0) == [0]


def test_a_value_in_quotation_marks_is_one_word_that_may_name_the_step() -> None:
    templates = [
        'msg="session stored" service=sessions user=<num> bytes=<num>',
        'msg="cart loaded" service=cart user=<num> items=<num>',
        'msg="order created" service=orders order=<num> currency=EUR',
        'msg="order closed" service=orders order=<num> currency=EUR',
    ]
    wording = Wording(templates)
    assert not wording.is_variant('msg="session saved" service=sessions user=<num> bytes=<num>')
    assert wording.siblings(2) == [2]
    assert wording.is_variant('msg="order created" service=orders order=<num> currency=XXX')


def test_a_code_in_place_of_a_code_is_no_other_wording() -> None:
    wording = Wording(
        [
            "reply OK of the border in <num> ms",
            "session of user <num> stored",
            "paid <num> to the ledger currency=EUR",
            "JOB <num> OF CHAIN ENDED",
            "input screened verdict=allow score=<num>",
            "input stored format=json bytes=<num>",
        ]
    )
    assert wording.is_other_status("input screened verdict=refused score=<num>")
    assert not wording.is_other_status("input stored format=proto bytes=<num>")
    assert wording.is_other_status("reply DENY of the border in <num> ms")
    assert wording.is_other_status("reply <*> of the border in <num> ms")
    assert wording.is_other_status("paid <num> to the ledger currency=XXX")
    # A new version says it in other words, …
    assert not wording.is_other_status("session of user <num> saved")
    assert not wording.is_other_status("reply fine of the border in <num> ms")
    # … and where all words are capitals, they tell nothing.
    assert not wording.is_other_status("JOB <num> OF CHAIN DONE")


def test_another_word_behind_a_colon_is_another_status_where_training_has_several() -> None:
    """Wrong before: `Address checked: unknown` was a step of a changed program."""
    wording = Wording(
        [
            "Address checked: valid, postcode <num>",
            "Address checked: corrected, postcode <num>",
            "worker: started job <num>",
            "worker: stopped job <num>",
            "Session key: stored for user <num>",
        ]
    )
    assert wording.is_other_status("Address checked: unknown, postcode <num>")
    assert not wording.is_other_status("worker: paused job <num>")
    assert not wording.is_other_status("Session key: saved for user <num>")


@pytest.mark.parametrize(
    ("old", "new", "is_other"),
    [
        ("policy looked up, status active", "policy looked up, status lapsed", True),
        ("policy looked up (status active)", "policy looked up (status lapsed)", True),
        # The verb of a sentence: a new version says it otherwise.
        ("policy status saved by <num>", "policy status kept by <num>", False),
        # Wrong before: in quotation marks, another status was a step of a changed program.
        ('msg="policy read, status active"', 'msg="policy read, status lapsed"', True),
        ('msg="bank answered ACSC in <num> ms"', 'msg="bank answered PDNG in <num> ms"', True),
        ('msg="cart loaded for <num>"', 'msg="cart fetched for <num>"', False),
        ('msg="cart loaded for user" id=ABC', 'msg="cart loaded" id=ABC', False),
        # Wrong before: a number that was none was a renamed step.
        ("event=sent status=<num> took=<num>", "event=sent status=<num> took=NaN", True),
        ("event=sent status=<num> took=<num>", "event=sent status=<num> took=nullms", True),
        ("cart priced at <num> EUR", "cart priced at undefined EUR", True),
        ("cart priced at <num> EUR", "cart priced at discount EUR", False),
        ("cart kept by nobody at all", "cart kept by none at all", False),
    ],
)
def test_a_status_in_a_sentence_is_another_status(old: str, new: str, is_other: bool) -> None:
    assert Wording([old]).is_other_status(new) is is_other


def test_pairs_that_no_blank_parts_are_words_of_their_own() -> None:
    """Wrong before: a message of FIX was one word, and another code in it was a changed program."""
    wording = Wording(
        [
            "session: -> 8=FIX.4.4|35=<num>|150=<num>|39=<num>|37=<code>|10=<num>|",
            "session: -> 8=FIX.4.4|35=<num>|150=F|32=<num>|30=XETR|10=<num>|",
            "session: -> 8=FIX.4.4|35=<num>|150=F|32=<num>|30=CEUX|10=<num>|",
        ]
    )
    for text in (
        "session: -> 8=FIX.4.4|35=<num>|150=<num>|39=C|37=<hex>|10=<num>|",
        "session: -> 8=FIX.4.4|35=<num>|150=F|32=<num>|30=DARK9|10=<num>|",
    ):
        assert wording.is_variant(text)
        assert wording.is_other_status(text)
    assert not wording.is_other_status(
        "session: -> 8=FIX.4.4|35=<num>|150=F|31=<num>|29=XETR|10=<num>|"
    )
    assert not wording.is_other_status(
        "session: -> 8=FIX.4.4|35=<num>|150=<num>|39=c|37=<hex>|10=<num>|"
    )


def test_another_word_of_a_sentence_says_otherwise_and_a_value_does_not() -> None:
    wording = Wording(
        [
            "session of user <num> stored",
            "paid <num> EUR to the ledger",
            "paid <num> USD to the ledger",
            "user <num> asked for <num> pages",
        ]
    )
    assert wording.says_otherwise("session of user <num> saved") == 0
    assert wording.says_otherwise("paid <num> XXX to the ledger") is None
    assert wording.says_otherwise("user <num> asked for many pages") is None
    assert wording.says_otherwise("user <num> asked for <num> leaves") == 3


def test_an_old_step_may_be_meant_wherever_it_fits() -> None:
    replacing = Replacing(TEMPLATES, NORMAL)
    assert replacing.may_stand_for(7, {Run(1, (7,), 3): 1}) == {2}
    assert replacing.may_stand_for(7, {Run(1, (8,), 3): 1}) == set()


def test_an_order_that_the_kept_sessions_lack_counts_as_well() -> None:
    # Of the sessions with these steps one is kept, and it has step 2 before step 1.
    kept = [(0, 2, 1, 3)]
    runs = {Run(1, (7,), 3): 10}
    alone, _ = Replacing(TEMPLATES, kept).stand_for(runs, {7: RENAMED}, {}, lambda *_: 1.0)
    assert alone == {7: ADDED}
    rows = [(START, 0, 1, 7), (0, 1, 2, 7), (1, 2, 3, 7), (2, 3, END, 7)]
    replacing = Replacing(TEMPLATES, kept, lambda: rows)
    found, _ = replacing.stand_for(runs, {7: RENAMED}, {}, lambda *_: 1.0)
    assert found == {7: 2}


def test_lines_of_training_without_a_template_are_no_steps_that_a_new_one_may_stand_for() -> None:
    """Was wrong: the first new message after such a line ended the process."""
    without = len(TEMPLATES)
    replacing = Replacing(TEMPLATES, [(0, without, 3)] * 5)
    assert replacing.may_stand_for(7, {Run(0, (7,), 3): 10}) == set()


def test_where_all_steps_in_a_row_are_new_each_stands_for_the_one_at_its_place() -> None:
    """Wrong before: the second of three was taken for the last one, by its shorter words."""
    templates = ["job <num> accepted", "input <num> read", "rows <num> written", "job <num> closed"]
    replacing = Replacing(templates, [(0, 1, 2, 3)])
    texts = {
        7: "work <num> is taken over",
        8: "<num> in",
        9: "<num> out",
        10: "work <num> is over",
    }
    runs = {Run(START, (7, 8, 9, 10), END): 10}
    found, _ = replacing.stand_for(runs, texts, {}, lambda *_: 1.0)
    assert found == {7: 0, 8: 1, 9: 2, 10: 3}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("level=info request served status=204 in 3 ms for web", 1),
        ("level=info request served status=304 in 3 ms for web", 2),
        # No template of training says so, but for the one that takes any other status.
        ("level=info request served status=503 in 3 ms for web", 0),
    ],
)
def test_a_message_of_a_renamed_step_keeps_its_status(message: str, expected: int) -> None:
    """Wrong before: it was taken for any other status, which no normal session has."""
    wording = Wording(
        [
            "level=info request served status=<num> in <num> ms",
            "level=info request served status=2<num> in <num> ms",
            "level=info request served status=3<num> in <num> ms",
        ]
    )
    assert wording.nearest(message, [0, 1, 2]) == expected
