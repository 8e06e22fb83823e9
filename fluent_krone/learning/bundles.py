"""A directory of bundles: those that were learnt, one after the other, and which one is in use.

    DIR/20260102T030405Z/   a bundle, named by the time of its fit (UTC)
    DIR/current             link to the bundle in use
    DIR/previous            link to the one before it, which `rollback` goes back to
    DIR/learning/           what is learnt from, until there is a first bundle
    DIR/refit/              the last day of the stream, and what the next bundle is fitted to
    DIR/lock                held by the service that learns or refits

A link is replaced atomically, so that every reader of `current` finds one whole bundle.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.cascade import Clearing
from ..core.hierarchy import Hierarchy
from ..core.sessions import SessionSettings
from ..detect.bundle import CURRENT, Bundle
from ..detect.local_context import LocalContext
from ..errors import ConfigError, KroneError
from ..reading.records import InputSettings
from ..types import LEVELS

_PREVIOUS = "previous"
_LEARNING = "learning"
_REFIT = "refit"
_LOCK = "lock"
_MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Kept:
    """A bundle of the directory."""

    name: str
    hash: str
    sessions: int
    is_current: bool
    is_previous: bool


class BundleFolder:
    """The directory at `path`, which need not exist yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    @property
    def learning(self) -> Path:
        """Where a service keeps what it learns from."""
        return self.path / _LEARNING

    @property
    def refit(self) -> Path:
        """Where a service keeps what it needs for the next bundle."""
        return self.path / _REFIT

    @property
    def current(self) -> str | None:
        """The name of the bundle in use; None while there is none."""
        return self._linked(CURRENT)

    @property
    def previous(self) -> str | None:
        """The name of the bundle that was in use before."""
        return self._linked(_PREVIOUS)

    def hold(self) -> None:
        """Keep every other service from learning here, until this process ends.

        Creates the directory. Raises ConfigError where another service learns here, or the
        directory cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.path / _LOCK, os.O_WRONLY | os.O_CREAT, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            raise ConfigError(
                f"bundle {self.path} is in use by another service that learns or refits: give "
                "each service, and each <match> block, its own directory"
            ) from None
        except OSError as error:
            raise ConfigError(
                f"bundle {self.path} cannot be learnt there: {error.strerror}"
            ) from None

    def release(self) -> None:
        """Let other services learn here."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def bundles(self) -> list[Kept]:
        """The bundles of the directory, the oldest first."""
        if not self.path.is_dir():
            return []
        current = self.current
        previous = self.previous
        found = []
        for path in sorted(self.path.iterdir()):
            if path.is_symlink() or path.name.startswith(".") or not (path / _MANIFEST).is_file():
                continue
            manifest = _manifest(path)
            found.append(
                Kept(
                    path.name,
                    manifest["hash"],
                    manifest["sessions"],
                    path.name == current,
                    path.name == previous,
                )
            )
        return found

    def use(self, name: str) -> None:
        """Put a bundle of the directory into use; a service takes it up within seconds.

        Raises KroneError where there is no such bundle.
        """
        if Path(name).name != name or not (self.path / name / _MANIFEST).is_file():
            names = ", ".join(kept.name for kept in self.bundles()) or "none"
            raise KroneError(f"{self.path} has no bundle {name!r}: it has {names}")
        current = self.current
        if current == name:
            return
        if current is not None:
            # Before the other link: between the two, `rollback` would do nothing, and do no harm.
            self._link(_PREVIOUS, current)
        self._link(CURRENT, name)

    def roll_back(self) -> str:
        """Put the bundle that was in use before into use again; returns its name."""
        previous = self.previous
        if previous is None or previous == self.current:
            raise KroneError(f"{self.path} has no bundle that was in use before")
        self.use(previous)
        return previous

    def new_name(self) -> str:
        """The name of a bundle that is fitted now, which no bundle of the directory has yet."""
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        name = now
        number = 1
        while (self.path / name).exists():
            number += 1
            name = f"{now}-{number}"
        return name

    def add(self, bundle: Path) -> str:
        """Copy a bundle into the directory; returns its name. The first one is put into use."""
        name = self.new_name()
        staging = self.path / f".add-{name}"
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copytree(bundle, staging)
            staging.rename(self.path / name)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        if self.current is None:
            self.use(name)
        return name

    def prune(self, most: int) -> None:
        """Delete the oldest bundles, so that `most` are left beside those that a link names."""
        others = [kept for kept in self.bundles() if not kept.is_current and not kept.is_previous]
        for kept in others[: max(len(others) - most, 0)]:
            # Without its manifest it is no bundle any more, whatever of it is left.
            (self.path / kept.name / _MANIFEST).unlink(missing_ok=True)
            shutil.rmtree(self.path / kept.name, ignore_errors=True)

    def _linked(self, link: str) -> str | None:
        try:
            name = (self.path / link).readlink().name
        except OSError:
            return None
        if not (self.path / name / _MANIFEST).is_file():
            return None
        return name

    def _link(self, link: str, name: str) -> None:
        temporary = self.path / f".{link}"
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(name)
        temporary.replace(self.path / link)


def is_bundle_folder(path: Path) -> bool:
    """Whether there is, or may be, a directory of bundles and not a bundle."""
    if not path.exists():
        return True
    if not path.is_dir() or (path / _MANIFEST).exists():
        return False
    names = {entry.name for entry in path.iterdir()}
    return not names or bool(names & {CURRENT, _LEARNING, _LOCK})


def _manifest(path: Path) -> dict[str, Any]:
    """A bundle's hash and training, where its manifest can be read."""
    try:
        raw = (path / _MANIFEST).read_bytes()
        training = json.loads(raw).get("training") or {}
        return {
            "hash": hashlib.sha256(raw).hexdigest()[:16],
            "sessions": int(training.get("sessions", 0)),
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {"hash": "", "sessions": 0}


# Seconds; any number will do, since no session is ever opened.
_IDLE_TIMEOUT_S = 3600.0


def blank_bundle() -> Bundle:
    """A bundle without content, whose engine stands where the learnt one will stand."""
    return Bundle(
        name="none",
        hash="",
        input_settings=InputSettings(session_key=("tag",)),
        session_settings=SessionSettings(idle_timeout=_IDLE_TIMEOUT_S),
        templates=(),
        counts=(),
        hierarchy=Hierarchy([]),
        patterns=LocalContext({level: [] for level in LEVELS}),
        nested=None,
        clearing=Clearing(),
        training=frozenset(),
        golden=(),
    )
