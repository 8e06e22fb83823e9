"""Whatever the messages: serving matches what was mined, and their order changes only which one
is the example.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from export.mine import mine
from fluent_krone.reading.templates import UNMATCHED, TemplateMatcher

WORDS = st.sampled_from(
    [
        "open",
        "closed",
        "failed",
        "user",
        "root",
        "alice",
        "for",
        "from",
        "block",
        "blk_17",
        "eth0",
        "sn373",
        "10.0.0.1:80",
        "/var/log/x.log",
        "uid=0",
        "uid=",
        "()",
        "(root)",
        "[preauth]",
        "ret:true",
        "a.b.C",
        "a.b.C:",
        "java.io.IOException:",
        "0xff",
        "12",
        "3.5KB",
        '"a',
        'b"',
        "'x'",
        '"one"',
        "<1",
        "<num>",
        "Jun",
        "17",
        "07:07:00",
        "2005",
        "-",
        "x,y",
        ",",
        ";",
        "=",
        ":",
        "5",
        "bytes",
        "(5",
        "KB)",
        "host.example.org:443",
        "7f3c9a10-1b2c-4d5e-8f90-0123456789ab",
        "#",
        "é",
        "\x00",
        "\t",
        "\n",
        "",
        "'",
        '"',
    ]
)
LINES = st.lists(st.one_of(WORDS, st.text(max_size=6)), min_size=1, max_size=8).map(" ".join)
LOGS = st.lists(LINES, max_size=40)


def readable(message: str) -> str:
    return message.encode(errors="replace").decode()


@given(LOGS)
def test_every_message_that_counts_is_matched_and_an_example_by_its_own_template(
    log: list[str],
) -> None:
    mined = mine(log)
    matcher = TemplateMatcher(mined.templates)
    matched = sum(matcher.match(readable(message).encode()) != UNMATCHED for message in log)
    assert sum(mined.counts) <= matched
    for template, example in enumerate(mined.examples):
        assert matcher.match(example.encode()) == template


@given(LOGS, st.randoms(use_true_random=False))
def test_order_changes_neither_templates_nor_counts(log: list[str], random: object) -> None:
    order = list(range(len(log)))
    random.shuffle(order)  # type: ignore[attr-defined]
    one, other = mine(log), mine([log[i] for i in order])
    assert (one.templates, one.counts) == (other.templates, other.counts)


@given(LOGS)
def test_caps_hold(log: list[str]) -> None:
    mined = mine(log, max_templates=3)
    assert len(mined.templates) <= 3
    assert mine(log, max_templates=3) == mined
