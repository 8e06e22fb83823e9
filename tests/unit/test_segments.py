"""Append-only segments: what is read back after any kind of end."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from fluent_krone.segments import MAGIC, Segments, read_frames, segment_files


def frames(folder: Path) -> list[bytes]:
    return [frame for _, frame in read_frames(folder)]


def filled(folder: Path, *values: bytes, **options: int) -> Segments:
    segments = Segments(folder, **options)
    for value in values:
        segments.append([value])
    return segments


def test_frames_come_back_in_order_over_several_files(tmp_path: Path) -> None:
    values = [str(number).encode() * 40 for number in range(50)]
    segments = filled(tmp_path / "s", *values, segment_bytes=500)
    assert frames(tmp_path / "s") == values
    files = segment_files(tmp_path / "s")
    assert len(files) > 3
    assert segments.size_bytes == sum(path.stat().st_size for path in files)


@pytest.mark.parametrize("lost", range(1, 12))
def test_a_frame_cut_short_is_dropped_and_the_next_one_takes_its_place(
    tmp_path: Path, lost: int
) -> None:
    filled(tmp_path, b"one", b"two").close()
    [path] = segment_files(tmp_path)
    os.truncate(path, path.stat().st_size - lost)
    whole = frames(tmp_path)
    assert whole == [b"one"]
    filled(tmp_path, b"three").close()
    assert frames(tmp_path) == [b"one", b"three"]


def test_a_frame_whose_bytes_were_changed_is_dropped(tmp_path: Path) -> None:
    filled(tmp_path, b"one", b"two").close()
    [path] = segment_files(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"two", b"too"))
    assert frames(tmp_path) == [b"one"]


@pytest.mark.parametrize("content", [b"", MAGIC[:3], b"something else entirely"])
def test_a_file_that_does_not_begin_as_ours_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "0000000001.seg").write_bytes(content)
    filled(tmp_path, b"one").close()
    assert frames(tmp_path) == [b"one"]


def test_cutting_drops_everything_behind_a_place(tmp_path: Path) -> None:
    segments = filled(tmp_path, b"one" * 100, segment_bytes=200)
    place = segments.append([b"t", b"wo"])
    segments.append([b"x" * 300])
    segments.append([b"four"])
    segments.cut(place)
    assert frames(tmp_path) == [b"one" * 100, b"two"]
    segments.append([b"five"])
    assert frames(tmp_path) == [b"one" * 100, b"two", b"five"]


def test_room_is_freed_file_by_file_and_the_file_at_work_stays(tmp_path: Path) -> None:
    segments = filled(tmp_path, *[b"x" * 300] * 5, segment_bytes=200)
    number = segments.end[0]
    segments.drop_before(number + 10)
    assert [path.stem for path in segment_files(tmp_path)] == [f"{number:010d}"]
    assert segments.size_bytes == segment_files(tmp_path)[0].stat().st_size


def test_reading_starts_at_a_place(tmp_path: Path) -> None:
    segments = filled(tmp_path, b"one", segment_bytes=20)
    place = segments.append([b"two"])
    segments.append([b"three"])
    segments.append([b"four"])
    assert [frame for _, frame in read_frames(tmp_path, place)] == [b"three", b"four"]


def test_only_their_owner_reads_the_files(tmp_path: Path) -> None:
    filled(tmp_path / "s", b"secret").close()
    [path] = segment_files(tmp_path / "s")
    assert path.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o700


@contextlib.contextmanager
def small_files() -> Iterator[None]:
    """Files of this process may have 1,000 bytes: writing fails half-way, as on a full disk.

    Only within the block: what the test run itself is written to may be a file as well.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_frames_that_are_written_together_are_all_there_or_none(tmp_path: Path) -> None:
    segments = filled(tmp_path, b"x" * 500)
    with small_files():
        segments.append_all([[b"one"], [b"t", b"wo"]])
        with pytest.raises(OSError, match="File too large"):
            segments.append_all([[b"three"], [b"y" * 500]])
    assert frames(tmp_path) == [b"x" * 500, b"one", b"two"]


def test_a_full_disk_leaves_no_half_frame(tmp_path: Path) -> None:
    segments = filled(tmp_path, b"x" * 900)
    with small_files():
        with pytest.raises(OSError, match="File too large"):
            segments.append([b"y" * 300])
        segments.append([b"small"])
    assert frames(tmp_path) == [b"x" * 900, b"small"]
