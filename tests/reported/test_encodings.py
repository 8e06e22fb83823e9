"""Logs in an encoding that is not UTF-8.

Was wrong: templates had a sign for each character that could not be read, and no message had it, so
that every line of such a log was unseen, in training too.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from export.cli import main
from fluent_krone.reading.templates import TemplateMatcher
from fluent_krone.reading.wildcards import as_text

WORDS = {
    "latin-1": ("Größe {} geändert", "Größe {} gelöscht"),
    "cp932": ("注文 {} 受付", "注文 {} 発送しました"),
    "gbk": ("订单 {} 已收到", "订单 {} 已发货"),
    "cp1251": ("заказ {} получен", "заказ {} отправлен"),
}


@pytest.mark.parametrize("encoding", WORDS)
def test_a_log_in_another_encoding_matches_its_own_templates(encoding: str, tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    first, last = WORDS[encoding]
    lines = [
        f"2024-10-15T13:{n:02d}:0{i}Z INFO shop: {text.format(1000 + n)}\n"
        for n in range(40)
        for i, text in enumerate((first, last))
    ]
    log.write_bytes("".join(lines).encode(encoding))
    work = tmp_path / "work"
    options = ["--input", str(log), "--session-key", "/ ([0-9]{4}) /", "--work", str(work)]
    assert main(["sequences", *options]) == 0
    sessions = [json.loads(line) for line in (work / "sequences.jsonl").open(encoding="utf-8")]
    assert [session["keys"] for session in sessions] in ([[0, 1]] * 40, [[1, 0]] * 40)


def test_a_byte_that_is_no_utf_8_matches_itself_alone() -> None:
    matcher = TemplateMatcher([as_text(b"gr\xf6\xdfer als <num>"), "größer als <num>"])
    assert matcher.match(b"gr\xf6\xdfer als 7") == 0
    assert matcher.slots(0, b"gr\xf6\xdfer als 7") == (b"7",)
    assert matcher.match("größer als 7".encode()) == 1
    assert matcher.match(b"grober als 7") < 0
