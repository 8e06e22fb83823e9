"""The ledger: what is written first, what chains it, and what `verify` finds."""

from __future__ import annotations

import json
import os
import random
import stat
import threading
from pathlib import Path

import pytest

from fluent_krone.explain.ledger import Ledger, LedgerError, verify

NOW = 1_763_800_000.25
BODY = {
    "model": "m",
    "messages": [{"role": "user", "content": 'a "text" with ünïcode \u2028 and </case>'}],
}


def filled(path: Path, questions: int = 3) -> Path:
    ledger = Ledger(path)
    for number in range(questions):
        entry = ledger.sent(
            BODY | {"number": number}, pattern=f"{number:032x}", model="m", now=NOW + number
        )
        ledger.answered(entry, tokens=100, cost=0.001, outcome="answer", now=NOW + number + 0.5)
    ledger.close()
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return filled(tmp_path / "new" / "ledger.jsonl")


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def test_an_entry_holds_exactly_what_was_sent(path: Path) -> None:
    first = json.loads(lines(path)[0])
    assert first["body"] == BODY | {"number": 0}
    assert (first["n"], first["kind"], first["at"]) == (1, "sent", "2025-11-22T08:26:40.250Z")
    assert path.read_bytes().isascii()


def test_verify_sums_up(path: Path) -> None:
    summary = verify(path)
    assert (summary.entries, summary.requests, summary.tokens, summary.torn) == (6, 3, 300, 0)
    assert summary.cost_usd == pytest.approx(0.003)
    assert (summary.first, summary.last) == ("2025-11-22T08:26:40.250Z", "2025-11-22T08:26:42.750Z")
    assert summary.hash == json.loads(lines(path)[-1])["hash"]


def test_an_empty_ledger_is_whole(tmp_path: Path) -> None:
    Ledger(tmp_path / "ledger").close()
    assert verify(tmp_path / "ledger").entries == 0


def test_it_is_its_owners_only_even_if_it_was_not(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o666)
    Ledger(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_reopened_it_goes_on_with_the_chain(path: Path) -> None:
    filled(path)
    assert verify(path).entries == 12


def test_every_changed_byte_is_found(path: Path) -> None:
    whole = path.read_bytes()
    dice = random.Random(1)
    for at in dice.sample(range(len(whole) - 1), 150):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ dice.randrange(1, 128)]) + whole[at + 1 :])
        with pytest.raises(LedgerError, match="line"):
            verify(path)


@pytest.mark.parametrize("gone", range(5))
def test_a_removed_line_is_found(path: Path, gone: int) -> None:
    kept = lines(path)
    del kept[gone]
    path.write_bytes(b"".join(kept))
    with pytest.raises(LedgerError, match=f"line {gone + 1} "):
        verify(path)


def test_moved_and_inserted_lines_are_found(path: Path) -> None:
    first, second, *rest = lines(path)
    for forged in (
        [second, first, *rest],
        [first, first, second, *rest],
        [first, b"{}\n", second, *rest],
    ):
        path.write_bytes(b"".join(forged))
        with pytest.raises(LedgerError, match=r"line [12] "):
            verify(path)


def test_a_name_given_twice_is_found_though_json_reads_the_same(path: Path) -> None:
    first, *rest = lines(path)
    path.write_bytes(first.replace(b'{"at"', b'{"at":"1999","at"') + b"".join(rest))
    with pytest.raises(LedgerError, match="line 1 was changed"):
        verify(path)


def test_lines_missing_at_the_end_are_found_with_a_hash_that_was_kept(path: Path) -> None:
    kept = verify(path).hash
    filled(path)
    assert verify(path, expect=kept).entries == 12
    path.write_bytes(b"".join(lines(path)[:5]))
    assert verify(path).entries == 5
    with pytest.raises(LedgerError, match="missing at its end"):
        verify(path, expect=kept)


def test_a_line_cut_by_a_kill_stays_and_the_chain_goes_on(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = path.read_bytes()
    torn = whole[:-30]
    path.write_bytes(torn)
    assert verify(path).torn == 1
    filled(path, 1)
    assert path.read_bytes().startswith(torn + b"\n")
    assert verify(path).torn == 1
    assert verify(path).entries == 5 + 1 + 2
    filled(path, 1)
    assert caplog.text.count("unfinished line") == 1


@pytest.mark.parametrize("left", [0, 1, 50])
def test_a_ledger_torn_anywhere_can_be_taken_up(path: Path, left: int) -> None:
    starts = [0, len(lines(path)[0])]
    whole = path.read_bytes()
    for start in starts:
        path.write_bytes(whole[: start + left])
        filled(path, 1)
        assert verify(path).torn == (left > 0)


def test_a_line_that_lacks_only_its_end_is_whole(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])
    filled(path, 1)
    assert (verify(path).torn, verify(path).entries) == (0, 8)


def test_a_mark_that_was_itself_cut_is_covered_by_the_next(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30] + b'\n{"bytes":1')
    filled(path, 1)
    assert verify(path).torn == 1


def test_an_unfinished_line_can_not_be_changed_later(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])
    filled(path, 1)
    forged = lines(path)
    forged[5] = forged[5].replace(b'"cost_usd":0.001', b'"cost_usd":0.002')
    path.write_bytes(b"".join(forged))
    with pytest.raises(LedgerError, match="line 6 was changed"):
        verify(path)


def test_a_changed_last_line_is_not_taken_up(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'"tokens":100', b'"tokens":1'))
    with pytest.raises(LedgerError, match="changed at its end"):
        Ledger(path)


def test_another_file_is_not_taken_for_a_ledger(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("some\nnotes\n")
    with pytest.raises(LedgerError, match="changed at its end"):
        Ledger(tmp_path / "notes")
    with pytest.raises(LedgerError, match="line 1 was changed"):
        verify(tmp_path / "notes")


def test_one_writer_at_a_time(path: Path) -> None:
    ledger = Ledger(path)
    with pytest.raises(LedgerError, match="in use by another process"):
        Ledger(path)
    ledger.close()
    Ledger(path).close()


def test_many_threads_make_one_chain(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")

    def write() -> None:
        for _ in range(20):
            ledger.answered(1, tokens=1, cost=0.0, outcome="answer", now=NOW)

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ledger.close()
    assert verify(tmp_path / "ledger").tokens == 160


def test_what_can_not_be_written_is_told(path: Path, tmp_path: Path) -> None:
    ledger = Ledger(path)
    path.rename(tmp_path / "rotated")
    with pytest.raises(LedgerError, match="can't be written"):
        ledger.sent(BODY, pattern="p", model="m", now=NOW)
    (tmp_path / "rotated").rename(path)
    assert ledger.sent(BODY, pattern="p", model="m", now=NOW) == 7
    ledger.close()
    with pytest.raises(LedgerError, match="is closed"):
        ledger.sent(BODY, pattern="p", model="m", now=NOW)
    with pytest.raises(LedgerError, match="can't be opened"):
        Ledger(tmp_path)


def test_a_full_disk_leaves_no_half_line(path: Path) -> None:
    """A limit on the size of files stands in for the disk; in a child, since it is for a whole
    process.
    """
    size = path.stat().st_size
    child = os.fork()
    if not child:
        status = 1
        try:
            import resource
            import signal

            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            ledger = Ledger(path)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + 40, size + 40))
            try:
                ledger.sent(BODY, pattern="p", model="m", now=NOW)
            except LedgerError:
                status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert path.stat().st_size == size
    assert verify(path).entries == 6
