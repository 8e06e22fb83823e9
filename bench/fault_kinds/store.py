"""Faults of the store: its disk is full, read-only, or overwrites the file."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .bench import Bench
from .serving import press

# Seconds between the first chunks of two clients: long enough for the first one to have arrived.
_BETWEEN_CLIENTS_S = 0.05


async def full_disk(bench: Bench) -> dict[str, Any]:
    """The store's file system is full for a while."""
    with tiny_disk(max(64, len(bench.events) // 2000)) as folder:
        if folder is None:
            return {"skipped": "mounting a file system takes root"}
        ballast = folder / "ballast"

        def fill() -> None:
            with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
                while file.write(bytes(2**16)):
                    pass

        return await _unwritable(bench, fill, ballast.unlink, folder)


async def file_limit(bench: Bench) -> dict[str, Any]:
    """Every write to a file fails: what a full disk looks like without root."""
    return await _unwritable(bench, lambda: 0, None)


async def read_only(bench: Bench) -> dict[str, Any]:
    """The store's files become immutable under the running process."""
    folder = Path(tempfile.mkdtemp(dir=Path.cwd()))
    try:

        def chattr(flag: str) -> None:
            files = map(str, folder.iterdir())
            subprocess.run(["chattr", flag, *files], check=True, capture_output=True)

        try:
            (folder / "x").touch()
            chattr("+i")
            chattr("-i")
        except (OSError, subprocess.CalledProcessError):
            return {"skipped": "chattr +i takes root and a file system that knows it"}
        return await _unwritable(bench, lambda: chattr("+i"), lambda: chattr("-i"), folder)
    finally:
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            # Also when the run failed: immutable files could not be deleted.
            chattr("-i")
        shutil.rmtree(folder)


async def _unwritable(
    bench: Bench,
    forbid: Callable[[], object],
    allow: Callable[[], object] | None,
    folder: Path | None = None,
) -> dict[str, Any]:
    async with bench.rig(folder=folder) as rig:
        # So early that SQLite's log is not at its full size yet: it has to grow, which fails.
        early = len(bench.frames) // 10
        for frame in bench.frames[:early]:
            await rig.client.send(frame)
        assert rig.serve.process is not None
        pid = rig.serve.process.pid
        if allow is None:
            hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, hard))
        else:
            forbid()
        offset = len(rig.serve.told())
        before = rig.serve.resident()
        # Eight clients press on, as a real fleet would, so that memory would grow if it could. They
        # begin one after the other, and once writes are allowed again only one client sends what
        # is left: chunks then come in their order, and sessions can be compared.
        acked: list[bytes] = []
        rest = iter(bench.frames[early:])
        allowed = asyncio.Event()
        pressing = []
        for _ in range(8):
            pressing.append(asyncio.create_task(press(rig.serve, rest, acked, allowed)))
            await asyncio.sleep(_BETWEEN_CLIENTS_S)
        await asyncio.sleep(bench.pause_s / 2)
        stuck_at = len(acked)
        resident = rig.serve.resident()
        await asyncio.sleep(bench.pause_s / 2)
        rig.outcome.notes |= {
            "acked_meanwhile": len(acked) - stuck_at,
            "resident_grew_mb": round(resident - before, 1),
            "and_in_the_second_half_mb": round(rig.serve.resident() - resident, 1),
        }
        if allow is not None:
            # Without a way to allow writes again, its log could not be written either.
            told = rig.serve.told(offset).count("nothing is acked until")
            rig.outcome.notes["lines_told"] = told
        allowed.set()
        if allow is None:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))
        else:
            allow()
        await asyncio.gather(*pressing)
        for frame in rest:
            await rig.client.send(frame)
        return (await bench.stop(rig)).beside(bench.whole)


async def corrupted(bench: Bench) -> dict[str, Any]:
    """The store is overwritten while nobody runs, and again under the running process."""
    async with bench.rig() as rig:
        third = len(bench.frames) // 3
        for frame in bench.frames[:third]:
            await rig.client.send(frame)
        await rig.client.close()
        await rig.serve.end()
        _scribble(bench, rig.serve.store)
        await rig.serve.start()
        set_aside = rig.serve.told().count("the store was set aside")
        for frame in bench.frames[third : 2 * third]:
            await rig.client.send(frame)
        _scribble(bench, rig.serve.store)  # under the running process, which has it open
        for frame in bench.frames[2 * third :]:
            await rig.client.send(frame)
        await rig.client.close()
        await rig.serve.end(signal.SIGTERM)
        assert rig.serve.process is not None
        return {
            "set_aside_at_start": set_aside,
            "set_aside_while_running": rig.serve.told().count("the store was set aside")
            - set_aside,
            "chunks_acked": len(bench.frames),
            "exit_code": rig.serve.process.returncode,
            "alerts_arrived": len(rig.outcome.alerts),
        }


def _scribble(bench: Bench, store: Path) -> None:
    """Overwrite the file and its log, as a failing disk might."""
    for path in store.parent.iterdir():
        with path.open("r+b") as file:
            file.write(bench.random.randbytes(max(path.stat().st_size, 2**16)))


@contextlib.contextmanager
def tiny_disk(megabytes: int) -> Iterator[Path | None]:
    """A small file system of its own; None where it can't be mounted, which takes root."""
    folder = Path(tempfile.mkdtemp())
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    mounted = (
        shutil.which("mount") is not None
        and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    )
    try:
        if mounted:
            yield folder
        else:
            yield None
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)
        folder.rmdir()
