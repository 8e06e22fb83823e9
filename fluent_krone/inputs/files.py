"""Which files an input means, and a file's bytes as text, whatever packed or encoded them."""

from __future__ import annotations

import bz2
import glob
import gzip
import io
import logging
import lzma
import os
import re
import stat
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from ..errors import ConfigError
from .zstd import ZstdContent

_log = logging.getLogger(__name__)
# What `--input` takes: a file, a directory, a pattern, or several of them.
Inputs = Path | str | Sequence[Path | str]
# Standard input, as on every command line.
STDIN = "-"
# Bytes from the start of a file that its kind and its encoding are decided by.
HEAD = 1 << 16
# Bytes read at a time: each read goes through Python, so few large ones.
_BUFFER = 1 << 20
# Packings inside one another that are undone.
_MOST_LAYERS = 3
# In UTF-16 every second byte of a digit, a blank or a Latin letter is a zero. Each piece of this
# many bytes has at least this share of them on one side, …
_UTF16_PIECE = 2048
_UTF16_SHARE = 0.1
# … and at most this part of it on the other one.
_OTHER_SIDE = 0.1
# The share of the characters beyond ASCII from which on text that is not readable as UTF-8 is in
# another encoding, and no damaged line of a log.
_UNREADABLE_SHARE = 0.2
# Characters below the blank that logs have: tabs, ends of lines, escapes of terminals, separators
# of records (JSON) and fields (FIX).
_CONTROL_OF_TEXT = "\t\n\r\x0b\x0c\x1b\x1e\x01\x07\x08"
# The share of others from which on what is no UTF-8 is no text in any encoding.
_CONTROL_SHARE = 0.02

# The only field of a record that stands for what is not of the kind of its file. A record without a
# message is counted and set aside; an export shows such a text.
UNREADABLE = "unreadable line"
# Characters of it that are kept.
_UNREADABLE_SHOWN = 1_000

PARQUET = b"PAR1"
# Files that can't be read as they are, and what to do about it.
_NOT_LOGS: tuple[tuple[bytes, int, str], ...] = (
    (b"PK\x03\x04", 0, "a zip archive: unpack it first"),
    (b"ustar", 257, "a tar archive: unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", 0, "a 7-Zip archive: unpack it first"),
    (b"LPKSHHRH", 0, "a binary journal: write it as text with `journalctl -o json --file`"),
    (b"ElfFile\x00", 0, "a Windows event log: export it as text first"),
    (b"SQLite format 3\x00", 0, "a SQLite database"),
    (b"%PDF-", 0, "a PDF document"),
    (b"\x7fELF", 0, "a program"),
)
_BOMS: tuple[tuple[bytes, str], ...] = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
# How the journal's export begins, which has zero bytes in the sizes of fields.
JOURNAL_BEGINS = (b"__CURSOR=", b"__REALTIME_TIMESTAMP=")
_NUMBER = re.compile(r"([0-9]+)")
# `app.log.12`, `app.log.12.gz`: what logrotate makes of a file; the higher the number, the older.
_ROTATED = re.compile(r"(.*\.)([0-9]{1,4})(\.(?:gz|bz2|xz|zst))?\Z")


def find_files(inputs: Inputs) -> list[Path]:
    """The files that `inputs` mean; those of a directory or pattern by name, the oldest first.

    Raises ConfigError for a name that means no file.
    """
    if isinstance(inputs, Path | str):
        inputs = [inputs]
    found: list[Path] = []
    for given in inputs:
        found += _files_of(str(given))
    return list(dict.fromkeys(found))


def _files_of(given: str) -> list[Path]:
    path = Path(given)
    if given == STDIN or path.is_file() or path.is_fifo():
        return [path]
    if path.is_dir():
        inside = [p for p in path.rglob("*") if p.is_file() and not _is_hidden(p, path)]
        if not inside:
            raise ConfigError(f"--input {given}: there is no file in this directory")
        return sorted(inside, key=_by_age)
    if glob.has_magic(given):
        # Not Path.glob, which takes no absolute pattern.
        matched = [Path(p) for p in glob.glob(given, recursive=True)]  # noqa: PTH207
        files = [p for p in matched if p.is_file()]
        if not files:
            raise ConfigError(f"--input {given}: no file matches this pattern")
        return sorted(files, key=_by_age)
    # Opening it says why it can't be read.
    return [path]


def check_file(option: str, path: Path) -> None:
    """Raise ConfigError unless there is a file, or a pipe, to be read. Nothing is read of it."""
    if str(path) == STDIN:
        return
    try:
        found = path.stat()
    except FileNotFoundError:
        raise ConfigError(f"{option} {path}: there is no such file") from None
    except OSError as error:
        raise ConfigError(f"{option} {path}: {error.strerror}") from None
    if stat.S_ISDIR(found.st_mode):
        raise ConfigError(f"{option} {path}: this is a directory, and must be a file")


def written_ns(path: Path) -> int | None:
    """When a file was last written; None where it has no date, as standard input."""
    if not path.is_file():
        return None
    return path.stat().st_mtime_ns


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _by_age(path: Path) -> tuple[str, int, list[Any]]:
    """A key that sorts rotated files before the one that is being written."""
    rotated = _ROTATED.match(path.name)
    if rotated:
        base = str(path.with_name(rotated[1].rstrip(".")))
        return base, -int(rotated[2]), []
    pieces = _NUMBER.split(str(path))
    numbered = [int(piece) if piece.isdigit() else piece for piece in pieces]
    return str(path), 0, numbered


class Source:
    """One opened file: its first bytes, unpacked, and all of it as bytes or as text."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = _unpacked(path, _open(path))
        self.head = _read_up_to(self._file, HEAD)
        self.encoding = self._encoding()
        if self._has_no_zeros:
            self.head = self.head.replace(b"\x00", b"")

    @property
    def is_parquet(self) -> bool:
        """Whether it is a table that pyarrow reads from the file itself."""
        return self.head.startswith(PARQUET)

    def head_lines(self) -> list[str]:
        """The first lines as text; the last one only if the file ends with it."""
        text = self.head.decode(self.encoding, "surrogateescape" if self._is_utf8 else "replace")
        lines = text.split(self.line_end)
        if len(self.head) >= HEAD and len(lines) > 1:
            lines.pop()
        return [line.rstrip("\r") for line in lines if line.strip()]

    @property
    def line_end(self) -> str:
        """What ends a line: a newline, or on old systems and instruments a carriage return."""
        if b"\r" in self.head and b"\n" not in self.head:
            return "\r"
        return "\n"

    def text(self, newline: str = "\n") -> IO[str]:
        """All of the file as text."""
        chained = _Chained(self.head, self._file)
        if self._has_no_zeros:
            chained = _WithoutZeros(self.head, self._file)
        file = io.BufferedReader(chained, _BUFFER)
        errors = "surrogateescape" if self._is_utf8 else "replace"
        return io.TextIOWrapper(file, encoding=self.encoding, errors=errors, newline=newline)

    def close(self) -> None:
        """Let go of the file."""
        if str(self.path) != STDIN:
            self._file.close()

    @property
    def _is_utf8(self) -> bool:
        return self.encoding.startswith("utf-8")

    @property
    def _has_no_zeros(self) -> bool:
        """Whether zero bytes are no part of the text.

        A machine that lost its power leaves them where a line was to be, and what appends UTF-16 to
        another text leaves them between letters. The journal writes sizes with them.
        """
        is_text = self._is_utf8 and not self.is_parquet
        return is_text and not self.head.startswith(JOURNAL_BEGINS)

    def _encoding(self) -> str:
        """The text's encoding. Raises ConfigError for what is no text, with the cause."""
        for magic, at, what in _NOT_LOGS:
            if self.head[at : at + len(magic)] == magic:
                raise ConfigError(f"{self.path}: this is {what}")
        for mark, encoding in _BOMS:
            if self.head.startswith(mark):
                return encoding
        if self.is_parquet:
            return "utf-8"
        if b"\x00" not in self.head or self.head.startswith(JOURNAL_BEGINS):
            self._check_utf8()
            return "utf-8"
        for encoding, high in (("utf-16-le", 1), ("utf-16-be", 0)):
            if _is_utf16(self.head, high):
                return encoding
        text = self.head.replace(b"\x00", b"")
        control = sum(byte < 32 and chr(byte) not in _CONTROL_OF_TEXT for byte in text)
        if not text or control > _CONTROL_SHARE * len(text):
            raise ConfigError(f"{self.path}: this is binary data and not text (it has zero bytes)")
        self._check_utf8()
        _log.info("zero bytes in the text are left out file=%s", self.path)
        return "utf-8"

    def _check_utf8(self) -> None:
        """Say that a file is in another encoding. Raises ConfigError for one that is no text."""
        text = self.head.decode("utf-8", "replace")
        # The head may end within a character.
        replaced = text[:-1].count("\ufffd")
        if replaced <= _UNREADABLE_SHARE * sum(char > "\x7f" for char in text):
            return
        control = sum(char < " " and char not in _CONTROL_OF_TEXT for char in text)
        if control > _CONTROL_SHARE * len(text):
            raise ConfigError(f"{self.path}: this is binary data and not text")
        _log.info(
            "the text is not UTF-8, and what cannot be read is shown as \ufffd; convert "
            "the file (iconv -t UTF-8) and the stream (from_encoding in Fluentd's in_tail) file=%s",
            self.path,
        )


def _is_utf16(head: bytes, high: int) -> bool:
    """Whether a file begins with text of UTF-16 whose high bytes are at `high` of each pair.

    Many of them are zeros, from the begin to the end, and few of the others.
    """
    for at in range(0, len(head), _UTF16_PIECE):
        piece = head[at : at + _UTF16_PIECE]
        zeros = piece[high::2].count(0)
        if zeros < _UTF16_SHARE * (len(piece) // 2):
            return False
        if piece[1 - high :: 2].count(0) > _OTHER_SIDE * zeros:
            return False
    text = head.decode(("utf-16-be", "utf-16-le")[high], "replace")
    control = sum(char < " " and char not in "\t\n\r\x1b" for char in text)
    return control <= _CONTROL_SHARE * len(text)


def _open(path: Path) -> IO[bytes]:
    if str(path) == STDIN:
        return sys.stdin.buffer
    try:
        return path.open("rb")
    except OSError as error:
        raise ConfigError(f"--input {path}: {error.strerror}") from None


def _unpacked(path: Path, file: IO[bytes], layers: int = 0) -> IO[bytes]:
    """What is inside a packed file, which may be packed twice."""
    magic = _read_up_to(file, 6)
    if file.seekable():
        file.seek(0)
    else:
        file = io.BufferedReader(_Chained(magic, file), _BUFFER)
    for _, start, unpack in _UNPACKERS:
        if magic.startswith(start) and layers < _MOST_LAYERS:
            return _unpacked(path, io.BufferedReader(unpack(path, file), _BUFFER), layers + 1)
    if layers:
        return file
    suffix = path.suffix.lower()
    is_text = all(byte >= 32 or chr(byte) in _CONTROL_OF_TEXT for byte in magic)
    if suffix in _PACKED and not is_text:
        raise ConfigError(
            f"{path}: the name ends in {suffix}, but it is not such a file: rename it, or "
            "create it again if it is damaged"
        )
    return file


def bare_suffix(path: Path) -> str:
    """The end of a file's name without that of its packing: `.csv` of `a.csv.gz`."""
    if path.suffix.lower() in _PACKED:
        path = path.with_suffix("")
    return path.suffix.lower()


def _unpack_gzip(path: Path, file: IO[bytes]) -> Any:
    return gzip.GzipFile(fileobj=file, mode="rb")


def _unpack_bzip2(path: Path, file: IO[bytes]) -> Any:
    return bz2.BZ2File(file)


def _unpack_xz(path: Path, file: IO[bytes]) -> Any:
    return lzma.LZMAFile(file)


def _unpack_zstd(path: Path, file: IO[bytes]) -> Any:
    """Python 3.11 has no zstd of its own; pyarrow, which the export needs anyway, has."""
    if find_spec("zstandard") is not None:
        return ZstdContent(file)
    try:
        import pyarrow
    except ImportError:
        raise ConfigError(
            f"{path}: zstd needs the package zstandard or pyarrow: pip install zstandard"
        ) from None
    return pyarrow.CompressedInputStream(pyarrow.PythonFile(file, mode="r"), "zstd")


# The usual end of the name, how the content begins, what unpacks it.
_UNPACKERS: tuple[tuple[str, bytes, Callable[[Path, IO[bytes]], Any]], ...] = (
    (".gz", b"\x1f\x8b", _unpack_gzip),
    (".bz2", b"BZh", _unpack_bzip2),
    (".xz", b"\xfd7zXZ\x00", _unpack_xz),
    (".zst", b"\x28\xb5\x2f\xfd", _unpack_zstd),
)
_PACKED = frozenset(suffix for suffix, _, _ in _UNPACKERS)


def _read_up_to(file: IO[bytes], size: int) -> bytes:
    """`size` bytes, or all there are: a pipe gives what it has, which may be less."""
    pieces: list[bytes] = []
    missing = size
    while missing:
        piece = file.read(missing)
        if not piece:
            break
        pieces.append(piece)
        missing -= len(piece)
    return b"".join(pieces)


class _Chained(io.RawIOBase):
    """Bytes already read, then the rest of the file: a pipe can't be read twice."""

    def __init__(self, head: bytes, rest: IO[bytes]) -> None:
        super().__init__()
        self._head = memoryview(head)
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece: bytes | memoryview = self._head[: len(buffer)]
        self._head = self._head[len(buffer) :]
        if not piece:
            piece = self._rest.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


class _WithoutZeros(_Chained):
    """The same bytes without those that are zero."""

    def readinto(self, buffer: Any) -> int:
        piece = bytearray(len(buffer))
        while count := super().readinto(piece):
            text = piece[:count].replace(b"\x00", b"")
            buffer[: len(text)] = text
            if text:
                return len(text)
        return 0


def describe(files: Iterable[Path]) -> str:
    """Files in words, for progress and messages."""
    names = [os.fspath(path) for path in files]
    if len(names) == 1:
        return names[0]
    return f"{names[0]} and {len(names) - 1} more"


def unreadable(text: str) -> dict[str, Any]:
    """The record of a line, or of several, that are not of the kind of their file."""
    return {UNREADABLE: text.rstrip("\r\n")[:_UNREADABLE_SHOWN]}
