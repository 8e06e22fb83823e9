"""Template mining: what becomes a wildcard, what stays apart, and that serving finds the same
templates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random

import pytest

from export.mine import MinedTemplates, mine
from fluent_krone.reading.templates import UNMATCHED, TemplateMatcher

USERS = ("root", "alice", "bob", "backup", "deploy")


def templates(*messages: str, **options: object) -> set[str]:
    return set(mine(messages, **options).templates)  # type: ignore[arg-type]


def matched(mined: MinedTemplates, messages: Sequence[str]) -> list[int]:
    """The template that serving gives each message."""
    matcher = TemplateMatcher(mined.templates)
    return [matcher.match(message.encode(errors="replace")) for message in messages]


@pytest.mark.parametrize(
    ("message", "template"),
    [
        ("sent 12 of 30 bytes", "sent <num> of <num> bytes"),
        ("block blk_-1608999687919862906 of 10.1.2.3:50010", "block blk_<id> of <ip>"),
        ("dest: /10.1.2.3:50010", "dest: /<ip>"),
        ("open /var/log/a.log and C:\\Temp\\a.txt", "open <path> and <path>"),
        ("get https://a.example/b?c=1 now", "get <url> now"),
        ("request 7f3c9a10-1b2c-4d5e-8f90-0123456789ab done", "request <code> done"),
        ("fault at 0xdeadbeef and f00dfeed1", "fault at <hex> and <hex>"),
        ('tag="View Lock" held', 'tag="<str>" held'),
        ('"GET /a/b HTTP/1.1" 200', '"GET /a/b HTTP/<num>" <num>'),
        ('level=info msg="disk is full" free=0', 'level=info msg="disk is full" free=<num>'),
        ("step 3/9 took 4/1.5 s", "step <num>/<num> took <num>/<num> s"),
        ("delays=0.1/0/0.02/1.3", "delays=<num>/<num>/<num>/<num>"),
        # A date is one value: its month is no number that must not change.
        ("due 2025/03/07", "due <path>"),
        ("took P1DT1.5S of PT12M", "took P<num>DT<num>S of PT<num>M"),
        # What a request belongs to is no line of an access log.
        ('failed, request: "GET /orders/17 HTTP/1.1"', 'failed, request: "GET <str>"'),
        ("can't open it, won't try", "can't open it, won't try"),
        ("jk2_init() found eth0", "jk2_init() found eth0"),
        ("boom\n\tat a.B.c(B.java:7)", "boom\n<*>"),
    ],
)
def test_masks_values_and_keeps_words(message: str, template: str) -> None:
    assert templates(message) == {template}


def test_words_that_differ_only_in_digits_are_one_template() -> None:
    assert templates("eth0: link is up", "eth1: link is up") == {"eth<num>: link is up"}


def test_a_place_with_many_names_is_a_wildcard() -> None:
    assert templates(*(f"session opened for user {user}" for user in USERS)) == {
        "session opened for user <*>"
    }


def test_a_place_that_takes_names_in_one_template_takes_them_in_others() -> None:
    mined = templates(
        *(f"login user={user}" for user in USERS), "logout user=root", "logout user=bob"
    )
    assert mined == {"login user=<*>", "logout user=<*>"}


@pytest.mark.parametrize(
    "messages",
    [
        ("service nginx started", "service nginx stopped"),
        ("shouldBlock ret:true", "shouldBlock ret:false"),
        (
            "task moved from NEW to RUNNING",
            "task moved from RUNNING to DONE",
            "task moved from NEW to FAILED",
        ),
        tuple(
            f"worker thread {word} its job"
            for word in ("started", "stopped", "failed", "refused", "done", "lost")
        ),
        (
            "write failed: java.io.IOException: closed",
            "write failed: java.net.SocketException: closed",
        ),
    ],
)
def test_outcomes_tell_templates_apart(messages: tuple[str, ...]) -> None:
    assert templates(*messages) == set(messages)


def test_lists_of_any_length_are_one_template() -> None:
    lists = (
        "10.0.0.1:50010",
        "10.0.0.1:50010, 10.0.0.2:50010",
        "10.0.0.1:50010, 10.0.0.2:50010, 10.0.0.3:50010",
    )
    assert templates(*(f"replicate to {hosts} now" for hosts in lists)) == {"replicate to <*> now"}


def test_values_of_several_words_and_variable_first_words() -> None:
    mined = templates(
        "proxy.example.org:5070 close, 403 bytes sent, lifetime 00:01",
        "10.9.8.7:443 close, 4503 bytes (4.39 KB) sent, lifetime <1 sec",
    )
    assert mined == {"<*> close, <*> sent, lifetime <*>"}


def test_an_unmarked_place_becomes_a_wildcard_only_with_many_words() -> None:
    names = ("alpha", "bravo", "carol", "delta", "erwin", "fanny")
    assert len(templates(*(f"removing {name} failed, will retry" for name in names[:5]))) == 5
    assert templates(*(f"removing {name} failed, will retry" for name in names)) == {
        "removing <*> failed, will retry"
    }


def test_a_component_prefix_stays_literal() -> None:
    messages = ("node1: read 5 bytes", "node2: read 6 bytes")
    assert templates(*messages, keep_prefix=True) == {
        "node1: read <num> bytes",
        "node2: read <num> bytes",
    }
    assert templates(*messages) == {"node<num>: read <num> bytes"}


def test_session_keys_are_wildcards() -> None:
    assert templates("order abc shipped", session_pattern=r"\babc\b") == {"order <id> shipped"}
    assert templates("order=abc shipped", session_pattern=r"order=(\w+)") == {"order=<id> shipped"}
    assert templates("order shipped", session_pattern=r"x*") == {"order shipped"}


def test_templates_counts_and_examples_belong_together() -> None:
    messages = ["open /a/b ok", "open /c failed", "open /d/e ok"]
    mined = mine(messages)
    assert matched(mined, messages) == [0, 1, 0]
    assert mined.counts == (2, 1)
    assert mined.examples == ("open /a/b ok", "open /c failed")
    assert mined.rows()[0] == {
        "template": "open <path> ok",
        "count": 2,
        "example": "open /a/b ok",
        "wide": [],
    }
    assert mined.warnings == ()


def test_a_message_of_values_only_makes_no_template() -> None:
    messages = ["12345", "user logged in"]
    mined = mine(messages)
    assert mined.templates == ("user logged in",)
    assert matched(mined, messages) == [UNMATCHED, 0]
    assert "1 messages match no template" in mined.warnings[0]


def test_too_many_templates_are_merged_by_their_first_words_with_a_warning() -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    messages = [f"note hand {a}{b}{b} {b}{a}{a} {a}" for a in letters for b in letters] + [
        "disk is full"
    ]
    mined = mine(messages, max_templates=20)
    assert len(mined.templates) <= 20
    assert "disk is full" in mined.templates
    assert "more than 20: those with the same first words" in mined.warnings[0]
    assert UNMATCHED not in matched(mined, messages)


def test_too_many_masked_messages_keep_their_first_words_with_a_warning() -> None:
    messages = [f"say w{chr(97 + i)} is w{chr(97 + i)} and more" for i in range(20)]
    mined = mine(messages, max_forms=5)
    assert len(mined.templates) < 20
    assert "too many distinct masked messages" in mined.warnings[0]
    assert UNMATCHED not in matched(mined, messages)


def test_messages_that_no_encoding_can_carry_are_mined_all_the_same() -> None:
    messages = ["broken \udcff text", "gr\u00fc\u00df 7 \u4e16\u754c", "", "x" * 5000]
    assert matched(mine(messages), messages).count(UNMATCHED) == 1


def test_serving_finds_what_mining_found() -> None:
    messages = [
        f"10.0.0.{i % 250}:50010 Served block blk_-{i * 7919} to /10.1.{i % 9}.{i % 200}"
        for i in range(300)
    ]
    messages += [
        f"session {word} for user {user} by (uid={i})"
        for i, user in enumerate(USERS)
        for word in ("opened", "closed")
    ]
    mined = mine(messages)
    found = Counter(matched(mined, messages))
    assert found == Counter(dict(enumerate(mined.counts)))
    assert len(found) == 3


def test_a_word_that_decides_which_keys_follow_tells_templates_apart() -> None:
    """Wrong before: four words behind a key were names, and all these steps were one."""
    steps = ("read bytes=7", "wait ms=3", "seek offset=12", "sync files=2", "trim blocks=4")
    messages = [f"op={step}" for step in steps for _ in range(20)]
    assert len(mine([f"disk d1 {message}" for message in messages]).templates) == len(steps)


def test_names_behind_a_key_that_come_with_the_same_keys_are_one_template() -> None:
    names = ("ann", "bob", "cyd", "dan", "eve")
    messages = [f"user={name} ms={n}" for name in names for n in range(20)]
    assert mine(messages).templates == ("user=<*> ms=<num>",)


def test_keys_are_no_values() -> None:
    """Wrong before: of six messages with other keys, all keys were one wildcard."""
    keys = ("bytes", "ms", "offset", "files", "blocks", "pages", "rows")
    assert len(mine([f"disk worker {key}=7" for key in keys]).templates) == len(keys)


def written(rng: Random) -> str:
    """What a person writes: some of a few words, in any order."""
    words = ("weekly", "report", "re:", "offer", "your", "meeting", "invoice", "for", "you")
    return " ".join(rng.choice(words) for _ in range(rng.randrange(1, 6)))


@pytest.mark.parametrize(
    ("form", "template"),
    [
        ("header Subject: {} from mail{}", "header Subject: <*> from mail<num>"),
        (
            "client asks for {} at the shop on port {}",
            "client asks for <*> at the shop on port <num>",
        ),
        ("search query={}", "search query=<*>"),
    ],
)
def test_what_persons_write_is_one_value(form: str, template: str) -> None:
    """Wrong before: nearly each text made a template of its own, and the next one was news."""
    rng = Random(1)
    mined = mine([form.format(written(rng), n % 9) for n in range(400)] + ["queue is empty"] * 9)
    assert set(mined.templates) == {template, "queue is empty"}
    assert UNMATCHED not in matched(mined, [form.format("quite another thing", 5)])


def test_steps_that_come_again_and_again_are_no_text() -> None:
    rng = Random(1)
    steps = {f"worker: {written(rng)} {written(rng)}" for _ in range(60)}
    assert len(mine([step for step in steps for _ in range(5)]).templates) > 30


def test_rare_messages_that_nothing_marks_as_a_text_stay_apart() -> None:
    rng = Random(1)
    messages = {f"worker failed {written(rng)} {written(rng)}" for _ in range(60)}
    assert len(mine(sorted(messages)).templates) > 30


def test_what_stands_before_a_colon_is_no_component_where_it_has_values() -> None:
    """Wrong before: each such line of a record without a component was a template of its own."""
    lines = [
        f"enc0{n % 3} tool[{4000 + n}] at 0x{n:08x} went back: from {n} to 7" for n in range(90)
    ]
    lines += [f"farm.fetch: got {n} parts" for n in range(90)]
    found = mine(lines, keep_prefix=True).templates
    assert "farm.fetch: got <num> parts" in found
    assert len(found) <= 4
