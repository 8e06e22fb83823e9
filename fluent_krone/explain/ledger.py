"""What was sent to a model, when, and what it cost: one JSON line each, chained by hashes.

Each line holds the hash of the line before it, so the chain breaks where a line was changed,
removed, moved or added. A chain alone cannot show that lines are missing at its end. For that, keep
the last hash that `verify` prints somewhere else, and pass it to a later `verify`.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import logging
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..errors import KroneError

_log = logging.getLogger(__name__)

# The hash that the first line follows.
_FIRST = "0" * 64
# Bytes that a line may have, and so the bytes from the file's end in which the last line is found.
# Questions are capped far below; a line that is longer would not be written.
_BLOCK = 1 << 20


class LedgerError(KroneError):
    """The ledger cannot be written, or is not as it was written."""


@dataclass(frozen=True, slots=True)
class LedgerSummary:
    """The sums of an intact ledger.

    `hash` is that of the last line: kept elsewhere, it proves all lines before it.
    """

    entries: int
    requests: int
    tokens: int
    cost_usd: float
    first: str | None  # ISO 8601 UTC
    last: str | None
    torn: int  # lines that a kill or a power cut left unfinished
    hash: str


class Ledger:
    """Appends to one file, which only its owner may read and only one process may write.

    Any thread may call. Raises LedgerError whenever it is not certain that a line was written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise LedgerError(f"ledger {path} can't be opened: {error.strerror}") from None
        try:
            self._n, self._hash, self._end = self._take_up()
        except OSError as error:
            os.close(self._file)
            raise LedgerError(f"ledger {path} can't be continued: {error.strerror}") from None
        except BaseException:
            os.close(self._file)
            raise

    def sent(self, body: Mapping[str, Any], *, pattern: str, model: str, now: float) -> int:
        """Write a question and return the entry's number.

        When this returns, the entry is on disk; only then may `body` leave. `now` is in seconds
        since 1970.
        """
        return self._append("sent", now, sync=True, pattern=pattern, model=model, body=body)

    def answered(self, entry: int, *, tokens: int, cost: float, outcome: str, now: float) -> None:
        """Write what became of an entry, and its price in US dollars.

        This is not synced to disk; the next `sent` does it.
        """
        self._append(
            "answered", now, sync=False, entry=entry, outcome=outcome, tokens=tokens, cost_usd=cost
        )

    def close(self) -> None:
        """Close the file; may be called twice."""
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
            self._file = -1

    def _append(self, kind: str, now: float, *, sync: bool, **fields: Any) -> int:
        with self._lock:
            if self._file < 0:
                raise LedgerError(f"ledger {self.path} is closed")
            entry = _chained(
                {"n": self._n + 1, "at": _iso(now), "kind": kind, **fields}, self._hash
            )
            line = _canonical(entry) + b"\n"
            try:
                self._write(line, sync=sync)
            except OSError as error:
                raise LedgerError(
                    f"ledger {self.path} can't be written: {error.strerror}"
                ) from None
            self._n += 1
            self._hash = entry["hash"]
            self._end += len(line)
            return self._n

    def _write(self, line: bytes, *, sync: bool) -> None:
        """Append all of the line or nothing of it.

        What was written of a failed line is removed, because no caller relies on it.
        """
        there = self.path.stat()
        ours = os.fstat(self._file)
        if not os.path.samestat(there, ours) or ours.st_size != self._end:
            raise OSError(errno.ESTALE, "it was moved or changed while in use")
        try:
            if len(line) > _BLOCK or os.write(self._file, line) < len(line):
                raise OSError(errno.EFBIG, "no room for a whole line")
            if sync:
                os.fsync(self._file)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._end)
            raise

    def _take_up(self) -> tuple[int, str, int]:
        """Number and hash of the last line, and the file's length.

        1. Lock the file, so that no other process appends to it.
        2. Find the last whole line. Bytes after it are a line that a kill left unfinished.
        3. If only that line's end is missing, write it. Otherwise leave the bytes as they are, and
           write a line that records their length and hash: `verify` then accepts them.
        """
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LedgerError(
                f"ledger {self.path} is in use by another process: give each one its own"
            ) from None
        os.fchmod(self._file, 0o600)
        self._end = os.fstat(self._file).st_size
        _sync_directory(self.path.parent)
        last, torn = self._last_line(self._end)
        whole = _entry(torn)
        if whole is not None:
            last = whole
            line = b"\n"
        elif torn:
            _log.warning("the ledger has an unfinished line path=%s bytes=%d", self.path, len(torn))
            last = _torn_mark(last, torn)
            line = b"\n" + _canonical(last) + b"\n"
        else:
            line = b""
        if line:
            self._write(line, sync=True)
        end = self._end + len(line)
        if last is None:
            return 0, _FIRST, end
        return last["n"], last["hash"], end

    def _last_line(self, size: int) -> tuple[dict[str, Any] | None, bytes]:
        """The last whole line, and the bytes after it.

        Only the end of the file is read, because the file may be large.
        """
        start = max(0, size - _BLOCK)
        tail = os.pread(self._file, size - start, start)
        lines = tail.split(b"\n")
        torn = lines.pop()
        if start:
            lines.pop(0)
        while lines:
            entry = _entry(lines[-1])
            if entry is not None:
                return entry, torn
            if not torn:
                break
            torn = lines.pop() + b"\n" + torn  # a mark that was itself cut short
        if start or (tail and not torn):
            raise LedgerError(
                f"ledger {self.path} was changed at its end: inspect it, then move it away"
            )
        return None, torn


def verify(path: Path, *, expect: str | None = None) -> LedgerSummary:
    """The sums of a ledger in which every line follows the line before it.

    `expect` is a hash that an earlier run printed: a line with it must still be there. Without it,
    missing lines at the end are not noticed. Raises LedgerError that names the first line that is
    not as it was written.
    """
    check = _Check(path, expect)
    try:
        with path.open("rb") as file:
            while line := file.readline(_BLOCK + 1):
                check.take(line)
    except OSError as error:
        raise LedgerError(f"ledger {path} can't be read: {error.strerror}") from None
    return check.summary()


class _Check:
    """One pass over a ledger's lines."""

    def __init__(self, path: Path, expect: str | None) -> None:
        self.path = path
        self.expect = expect
        self.found = expect is None
        self.line = 0
        self.n = 0
        self.requests = 0
        self.tokens = 0
        self.torn = 0
        self.cost = 0.0
        self.hash = _FIRST
        self.first: str | None = None
        self.last: str | None = None
        # Bytes that are no entry. They are accepted if the next entry is a mark that records them.
        self.unread = b""
        self.unread_from = 0

    def take(self, line: bytes) -> None:
        self.line += 1
        entry = None
        if line.endswith(b"\n"):
            entry = _entry(line.removesuffix(b"\n"))
        if entry is None:
            self.unread_from = self.unread_from or self.line
            self.unread += line
            if len(self.unread) > _BLOCK:
                raise self._broken(self.unread_from, "is not a line of a ledger")
            return
        if self.unread:
            self._forgive(entry)
        if entry["prev"] != self.hash or entry["n"] != self.n + 1:
            raise self._broken(
                self.line, "does not follow the line before it: lines were removed, added or moved"
            )
        self._count(entry)

    def _forgive(self, mark: dict[str, Any]) -> None:
        """Accept an unfinished line, if the mark after it records exactly these bytes."""
        recorded = _torn(self.unread[:-1])
        if mark["kind"] != "torn" or any(mark.get(name) != recorded[name] for name in recorded):
            raise self._broken(self.unread_from, "was changed")
        self.unread = b""
        self.unread_from = 0

    def _count(self, entry: dict[str, Any]) -> None:
        self.n = entry["n"]
        self.hash = entry["hash"]
        self.found = self.found or self.hash == self.expect
        self.requests += entry["kind"] == "sent"
        self.torn += entry["kind"] == "torn"
        self.tokens += entry.get("tokens", 0)
        self.cost += entry.get("cost_usd", 0.0)
        self.last = entry.get("at", self.last)
        self.first = self.first or self.last

    def summary(self) -> LedgerSummary:
        if self.unread.endswith(b"\n"):
            raise self._broken(self.unread_from, "was changed")
        if not self.found:
            raise LedgerError(
                f"ledger {self.path} has no line with the hash {self.expect}: "
                "lines are missing at its end"
            )
        # An unfinished line at the very end has no mark yet: no service has opened the file since.
        torn = self.torn + bool(self.unread)
        return LedgerSummary(
            entries=self.n,
            requests=self.requests,
            tokens=self.tokens,
            cost_usd=self.cost,
            first=self.first,
            last=self.last,
            torn=torn,
            hash=self.hash,
        )

    def _broken(self, line: int, what: str) -> LedgerError:
        return LedgerError(f"ledger {self.path}, line {line} {what}")


def _canonical(entry: Mapping[str, Any]) -> bytes:
    """The only way to write an entry. It is ASCII, so no log text in it can act on a terminal."""
    return json.dumps(entry, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _chained(entry: dict[str, Any], prev: str) -> dict[str, Any]:
    entry["prev"] = prev
    return entry | {"hash": hashlib.sha256(_canonical(entry)).hexdigest()}


def _sync_directory(path: Path) -> None:
    """Make sure that the name of a new file is on disk too."""
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _torn_mark(last: dict[str, Any] | None, fragment: bytes) -> dict[str, Any]:
    """The entry after an unfinished line, which records that line's bytes."""
    n = 0
    digest = _FIRST
    if last is not None:
        n = last["n"]
        digest = last["hash"]
    return _chained({"n": n + 1, "kind": "torn", **_torn(fragment)}, digest)


def _iso(now: float) -> str:
    at = datetime.fromtimestamp(now, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _torn(fragment: bytes) -> dict[str, Any]:
    return {"bytes": len(fragment), "sha256": hashlib.sha256(fragment).hexdigest()}


def _entry(line: bytes) -> dict[str, Any] | None:
    """The entry of a line that is exactly as it was written; None for any other line."""
    try:
        entry: dict[str, Any] = json.loads(line)
        rest = {name: value for name, value in entry.items() if name != "hash"}
        digest = hashlib.sha256(_canonical(rest)).hexdigest()
        is_intact = entry["hash"] == digest and line == _canonical(entry)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    if not is_intact or not {"kind", "prev"} <= entry.keys():
        return None
    numbers = (entry.get("n"), entry.get("tokens", 0), entry.get("cost_usd", 0.0))
    if not all(isinstance(number, int | float) for number in numbers):
        return None
    return entry
