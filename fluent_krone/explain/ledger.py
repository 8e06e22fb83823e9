"""What was sent to a model, when, and what it cost: one JSON line each, chained by hashes.

A line holds the hash of the line before it, so a line that is changed, removed, moved or put in breaks the chain there.
What a chain can't show by itself is that lines are missing at its end: keep the last hash that `verify` tells somewhere
else, and give it back to a later one.
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

_FIRST = "0" * 64  # what the first line follows
_BLOCK = 1 << 20  # bytes; no line is longer


class LedgerError(KroneError):
    """The ledger can't be written, or is no longer what was written."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a ledger that holds together says. `hash` is its last line's: kept elsewhere, it pins all before it."""

    entries: int
    requests: int
    tokens: int
    cost_usd: float
    first: str | None  # ISO 8601 UTC
    last: str | None
    torn: int  # lines that a kill or power cut left unfinished
    hash: str


class Ledger:
    """Appends to one file, which is its owner's only and has one writer at a time; any thread may call.

    Raises LedgerError wherever it can't be sure that a line is written.
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
            raise LedgerError(f"ledger {path} can't be taken up: {error.strerror}") from None
        except BaseException:
            os.close(self._file)
            raise

    def sent(self, body: Mapping[str, Any], *, pattern: str, model: str, now: float) -> int:
        """The number of the entry, once it is on disk: only then may `body` leave. `now` in seconds since 1970."""
        return self._append("sent", now, sync=True, pattern=pattern, model=model, body=body)

    def answered(self, entry: int, *, tokens: int, cost: float, outcome: str, now: float) -> None:
        """What became of an entry, and its price in US dollars. Not synced: the next `sent` does it."""
        self._append(
            "answered", now, sync=False, entry=entry, outcome=outcome, tokens=tokens, cost_usd=cost
        )

    def close(self) -> None:
        """Closes the file; again does nothing."""
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
            self._file = -1

    def _append(self, kind: str, now: float, *, sync: bool, **fields: Any) -> int:
        with self._lock:
            if self._file < 0:
                raise LedgerError(f"ledger {self.path} is closed")
            at = (
                datetime.fromtimestamp(now, UTC)
                .isoformat(timespec="milliseconds")
                .replace("+00:00", "Z")
            )
            entry = _chained({"n": self._n + 1, "at": at, "kind": kind, **fields}, self._hash)
            line = _canonical(entry) + b"\n"
            try:
                self._write(line, sync=sync)
            except OSError as error:
                raise LedgerError(
                    f"ledger {self.path} can't be written: {error.strerror}"
                ) from None
            self._n, self._hash, self._end = self._n + 1, entry["hash"], self._end + len(line)
            return self._n

    def _write(self, line: bytes, *, sync: bool) -> None:
        """All of the line or nothing of it: what is there of a failed one goes, as nobody was told of it."""
        there, ours = self.path.stat(), os.fstat(self._file)
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
        """Number and hash of the last line, and the file's length; marks what a kill left unfinished."""
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
        n, digest, line = (last["n"], last["hash"], b"") if last else (0, _FIRST, b"")
        whole = _entry(torn)
        if whole:  # but for its line's end
            n, digest, line = whole["n"], whole["hash"], b"\n"
        elif torn:
            _log.warning(
                "ledger has an unfinished line, it stays as it is path=%s bytes=%d",
                self.path,
                len(torn),
            )
            mark = _chained({"n": n + 1, "kind": "torn", **_torn(torn)}, digest)
            n, digest, line = n + 1, mark["hash"], b"\n" + _canonical(mark) + b"\n"
        if line:
            self._write(line, sync=True)
        return n, digest, self._end + len(line)

    def _last_line(self, size: int) -> tuple[dict[str, Any] | None, bytes]:
        """The last whole line, and the bytes after it. Only the end of the file is read: it may be large."""
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
                f"ledger {self.path} was changed at its end: look at it, then move it away"
            )
        return None, torn


def verify(path: Path, *, expect: str | None = None) -> Summary:
    """The sums of a ledger, once every line has been found to follow the one before it.

    `expect` is a hash that an earlier run told: it must still be there. Without one, lines missing at the end go
    unnoticed; no chain can tell. Raises LedgerError naming the first line that is not as it was written.
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
        self.path, self.expect, self.found = path, expect, expect is None
        self.line = self.n = self.requests = self.tokens = self.torn = 0
        self.cost = 0.0
        self.hash = _FIRST
        self.first: str | None = None
        self.last: str | None = None
        self.unread, self.unread_from = b"", 0  # lines that are none, so far

    def take(self, line: bytes) -> None:
        self.line += 1
        entry = _entry(line.removesuffix(b"\n")) if line.endswith(b"\n") else None
        if entry is None:
            self.unread_from = self.unread_from or self.line
            self.unread += line
            if len(self.unread) > _BLOCK:
                raise self._broken(self.unread_from, "is no line of a ledger")
            return
        if self.unread:
            self._forgive(entry)
        if entry["prev"] != self.hash or entry["n"] != self.n + 1:
            raise self._broken(
                self.line, "does not follow the line before it: lines were removed, added or moved"
            )
        self._count(entry)

    def _forgive(self, mark: dict[str, Any]) -> None:
        """An unfinished line is one that the next line tells of, to the byte."""
        if mark["kind"] != "torn" or any(
            mark.get(name) != value for name, value in _torn(self.unread[:-1]).items()
        ):
            raise self._broken(self.unread_from, "was changed")
        self.unread, self.unread_from = b"", 0

    def _count(self, entry: dict[str, Any]) -> None:
        self.n, self.hash = entry["n"], entry["hash"]
        self.found = self.found or self.hash == self.expect
        self.requests += entry["kind"] == "sent"
        self.torn += entry["kind"] == "torn"
        self.tokens += entry.get("tokens", 0)
        self.cost += entry.get("cost_usd", 0.0)
        self.last = entry.get("at", self.last)
        self.first = self.first or self.last

    def summary(self) -> Summary:
        if self.unread.endswith(b"\n"):
            raise self._broken(self.unread_from, "was changed")
        if not self.found:
            raise LedgerError(
                f"ledger {self.path} has no line with the hash {self.expect}: lines are missing at its end"
            )
        torn = self.torn + bool(self.unread)  # not marked yet: nobody has opened it since
        return Summary(
            self.n, self.requests, self.tokens, self.cost, self.first, self.last, torn, self.hash
        )

    def _broken(self, line: int, what: str) -> LedgerError:
        return LedgerError(f"ledger {self.path}, line {line} {what}")


def _canonical(entry: Mapping[str, Any]) -> bytes:
    """One way to write an entry, in ASCII: a reader's terminal is safe from it too."""
    return json.dumps(entry, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _chained(entry: dict[str, Any], prev: str) -> dict[str, Any]:
    entry["prev"] = prev
    return entry | {"hash": hashlib.sha256(_canonical(entry)).hexdigest()}


def _sync_directory(path: Path) -> None:
    """A new file's name is on disk too."""
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _torn(fragment: bytes) -> dict[str, Any]:
    return {"bytes": len(fragment), "sha256": hashlib.sha256(fragment).hexdigest()}


def _entry(line: bytes) -> dict[str, Any] | None:
    """The entry that a line is, to the byte, its own hash checked; None for anything else."""
    try:
        entry = json.loads(line)
        rest = {name: value for name, value in entry.items() if name != "hash"}
        intact = entry["hash"] == hashlib.sha256(
            _canonical(rest)
        ).hexdigest() and line == _canonical(entry)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    numbers = entry.get("n"), entry.get("tokens", 0), entry.get("cost_usd", 0.0)
    sound = (
        intact
        and {"kind", "prev"} <= entry.keys()
        and all(isinstance(number, int | float) for number in numbers)
    )
    return entry if sound else None
