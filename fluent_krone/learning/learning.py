"""Learning on the stream: collect, fit in a child process, hand the bundle over.

1. *Collecting*: chunks go into the spool until enough was seen. Meanwhile a child process looks at
   them, so that the session key and the idle timeout are reported early.
2. *Fitting*: what was collected is frozen, and `export fit` runs on it. What the stream brings
   meanwhile also goes into the spool.
3. *Activating*: the bundle is put into use. The service feeds it the whole spool, so that open
   sessions continue, and what came during the fit is judged.
4. A fit that fails is reported, and collecting goes on: more of the stream, or other parameters,
   may give a bundle.
"""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import Config
from ..detect.bundle import Bundle, find_bundle, load_bundle
from ..errors import BundleError, ConfigError, KroneError
from ..inputs.own_times import OwnTimes
from ..reading.records import InputSettings
from ..timing import BackOff
from ..transport.forward import Chunk
from .bundles import BundleFolder, is_bundle_folder
from .child import check_extra, fit_options, run_export, suggest_options
from .counting import Seen, SessionCount
from .spool import StreamSpool

_log = logging.getLogger(__name__)

# The share of `learn_size` that is learnt from. The rest holds what comes during the fit.
_LEARNT_SHARE = 0.8
# The share of `learn_size` that stays when a fit has failed; older records make room.
_KEPT_SHARE = 0.5
# Seconds between two looks at how far the learning is.
_LOOK_S = 0.5
# Records and seconds after which a session key is looked for: what comes first. Each further look
# needs ten times as many records.
_FIRST_LOOK_RECORDS = 20_000
_FIRST_LOOK_S = 60.0
# A look at fewer records tells nothing.
_LEAST_RECORDS = 200
# Seconds between two log lines about the progress, if it is less than a tenth.
_REPORT_S = 300.0
# Seconds before a fit that failed is tried again: the first pause, and the longest.
_BACK_OFF_S = (60.0, 86_400.0)
# How often a child that was killed is started again on the same records.
_KILLED_AT_MOST = 3
# Lines of an export that are logged; others may show records.
_SAID = ("session key", "idle timeout", "mine:", "sequences:", "bundle:", "export:", "warning:")
# Behind this an export shows a record.
_EXAMPLE = ", for example"
# What an export says of failures, before it shows them.
_FAILURES = "note: Learnt as normal"

COLLECTING = "collecting"
FITTING = "fitting"
ACTIVATING = "activating"
# The file that names the bundle that is being fitted.
_FIT = "fit.json"


@dataclass(frozen=True, slots=True)
class LearningStatus:
    """How far the learning is; `share` is between 0 and 1."""

    phase: str
    share: float
    records: int
    sessions: int | None
    spool_bytes: int
    # As the parameters say, or as it was found in the stream.
    session_key: str | None
    # What keeps the learning from its end, and the remedy.
    trouble: str | None

    @property
    def words(self) -> str:
        """One line for an operator."""
        if self.phase == FITTING:
            return "learning, 100 %: the bundle is being fitted"
        if self.phase == ACTIVATING:
            return "learning, 100 %: the bundle is being put into use"
        return f"learning, {int(100 * self.share)} %"


class Learning:
    """Learns the first bundle of a directory of bundles. The runtime calls it.

    `take` and `commit` are called for chunks as they come, `run` is a task, and `end` says that the
    service judges by the bundle from now on. Lives until then.
    """

    def __init__(
        self, folder: BundleFolder, config: Config, *, clock_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self.folder = folder
        self.phase = COLLECTING
        self.trouble: str | None = None
        self.fits_failed = 0
        self.spool = StreamSpool(
            folder.learning, config.learn_size, syncs=config.store_sync == "full"
        )
        self._config = config
        self._clock_ns = clock_ns
        self._seen = Seen.of(self.spool.facts)
        self._own_times = OwnTimes()
        self._sessions: SessionCount | None = None
        self._session_key = config.session_key
        # Cleared while the next commit is to freeze what was collected.
        self._frozen = asyncio.Event()
        self._frozen.set()
        self._looked_at_records = 0
        self._reported = (-1.0, time.monotonic())
        self._last_line = ""

    @property
    def id(self) -> str | None:
        """What tells this learning from an earlier one: the name of its bundle."""
        try:
            name = json.loads((self.folder.learning / _FIT).read_text(encoding="utf-8"))["bundle"]
        except (OSError, ValueError, LookupError, TypeError):
            return None
        return str(name)

    @property
    def has_gap(self) -> bool:
        """Whether records are missing in the spool, so that sessions cannot go on from it."""
        return self._seen.left_out > 0

    def take(self, chunk: Chunk) -> int:
        """Take a chunk in; returns how many records it has."""
        now_ns = self._clock_ns()
        if not self.spool.take(chunk, now_ns):
            records = sum(1 for _ in chunk.events())
            self._leave_out(records)
            return records
        if self.spool.is_frozen:
            return chunk.size or 0
        self._own_times.look(chunk.events())
        self._count(chunk, now_ns)
        return self._seen.note(chunk, now_ns)

    def commit(self, keys: list[bytes]) -> None:
        """Make final what was taken in; the acks follow."""
        self.spool.commit(keys, self._seen.facts())
        if not self._frozen.is_set():
            self.spool.freeze()
            self._frozen.set()

    def status(self) -> LearningStatus:
        """How far the learning is."""
        key = self._session_key
        return LearningStatus(
            phase=self.phase,
            share=self._share(),
            records=self._seen.records,
            sessions=self._seen.sessions,
            spool_bytes=self.spool.size_bytes,
            session_key=",".join(key) if key else None,
            trouble=self.trouble,
        )

    def troubles(self) -> list[str]:
        """What keeps the learning from its end, or records from being learnt from."""
        found = []
        if self.trouble is not None:
            found.append(self.trouble)
        if self.spool.trouble is not None:
            found.append(
                "records are neither learnt from nor judged, since they cannot be written to "
                f"{self.spool.folder}: {self.spool.trouble.strerror}"
            )
        unread = self._unread_times()
        if unread is not None:
            found.append(unread)
        return found

    def stats(self) -> dict[str, float]:
        """Its figures, by the names of the metrics."""
        return {
            "learning_share": self._share(),
            "learning_records": self._seen.records,
            "learning_left_out": self._seen.left_out,
            "learning_spool_size": self.spool.size_bytes,
            "fits_failed": self.fits_failed,
        }

    async def run(self) -> Bundle:
        """Learn until there is a bundle; returns it once it is in the link `current`."""
        name = self.id
        if name is not None and self.folder.current == name:
            # The last process was killed before it had put the bundle into use.
            self.phase = ACTIVATING
            return await asyncio.to_thread(load_bundle, str(self.folder.path))
        back_off = BackOff(*_BACK_OFF_S)
        while True:
            await self._collect()
            try:
                bundle = await self._fit()
            except (KroneError, OSError) as error:
                self._fail(str(error))
            else:
                self.phase = ACTIVATING
                return bundle
            await asyncio.sleep(back_off.next_s())

    def end(self) -> None:
        """The service judges by the bundle: what was learnt from is deleted."""
        self.spool.close()
        shutil.rmtree(self.folder.learning, ignore_errors=True)
        _log.info(
            "learnt: the stream is judged from now on bundle=%s/%s records=%d",
            self.folder.path,
            self.folder.current,
            self._seen.records,
        )

    async def _collect(self) -> None:
        self.phase = COLLECTING
        if self.spool.is_frozen:
            # The last process was killed during its fit.
            return
        while self._share() < 1 and self.spool.trouble is None:
            self._report()
            if self._is_time_to_look():
                await self._look()
            await asyncio.sleep(_LOOK_S)

    def _share(self) -> float:
        """How much of what is to be seen was seen."""
        shares = [self.spool.size_bytes / (_LEARNT_SHARE * self._config.learn_size)]
        if self._config.learn is not None:
            shares.append(self._seen.seconds(self._clock_ns()) / self._config.learn)
        if self._config.learn_sessions is not None:
            shares.append((self._seen.sessions or 0) / self._config.learn_sessions)
        if self.phase != COLLECTING:
            return 1.0
        return min(max(shares), 1.0)

    def _is_time_to_look(self) -> bool:
        records = self._seen.records
        if self._looked_at_records:
            return self._sessions is None and records >= 10 * self._looked_at_records
        if records < _LEAST_RECORDS:
            return False
        waited_s = (self._clock_ns() - self._seen.began_ns) / 1e9
        return records >= _FIRST_LOOK_RECORDS or waited_s >= _FIRST_LOOK_S

    def _unread_times(self) -> str | None:
        """The warning where the records' own times are not those that are learnt from."""
        if self._config.time_field is not None:
            return None
        return self._own_times.trouble()

    async def _look(self) -> None:
        """Say which settings the stream offers, before hours of it are learnt from."""
        self._looked_at_records = self._seen.records
        unread = self._unread_times()
        if unread is not None:
            _log.warning("%s", unread)
        code = await self._export("suggest", "--input", str(self.spool.collected))
        if code != 0:
            self.trouble = self._last_line.removeprefix("export: ")
            _log.warning("nothing can be learnt yet reason=%s", self.trouble)
            return
        self.trouble = None
        await self._begin_count(json.loads(self._last_line))

    async def _begin_count(self, found: dict[str, Any]) -> None:
        """Count sessions by the settings that were found: first those that came already."""
        if self._config.learn_sessions is None:
            return
        self._session_key = tuple(found["session_key"])
        settings = InputSettings(
            session_key=self._session_key,
            message_field=found["message_field"],
            line_format=found["line_format"],
        )
        idle_s = self._config.idle_timeout or found["idle_timeout"] or _REPORT_S
        count = SessionCount(settings, idle_s, self._config.learn_sessions)
        if self._seen.sessions is None:
            end = self.spool.end
            for place, _, spooled in self.spool.read((0, 0)):
                if place > end:
                    break
                count.note(spooled.chunk, spooled.arrived_ns)
                await asyncio.sleep(0)
        else:
            count.sessions = self._seen.sessions
        self._sessions = count
        self._seen.sessions = count.sessions

    def _count(self, chunk: Chunk, now_ns: int) -> None:
        if self._sessions is not None:
            self._sessions.note(chunk, now_ns)
            self._seen.sessions = self._sessions.sessions

    async def _fit(self) -> Bundle:
        """Fit a bundle to what was collected, and put it into the link `current`."""
        self.phase = FITTING
        await self._freeze()
        name = self.id or self.folder.new_name()
        work = self.folder.learning / "work"
        self._note_fit(name)
        # Options that are no longer given must not be remembered.
        (work / "options.json").unlink(missing_ok=True)
        _log.info("enough was collected, the bundle is fitted records=%d", self._seen.records)
        for _ in range(_KILLED_AT_MOST):
            code = await self._export(
                "fit",
                *("--input", str(self.spool.collected), "--work", str(work)),
                *("--output", str(self.folder.path / name), "--name", self.folder.path.name),
            )
            if code >= 0:
                break
            _log.warning("the fit was killed, and continues where it stopped signal=%d", -code)
            self.fits_failed += 1
        if code != 0:
            raise KroneError(self._last_line.removeprefix("export: ") or f"it ended with {code}")
        self.folder.use(name)
        return await asyncio.to_thread(load_bundle, str(self.folder.path))

    async def _freeze(self) -> None:
        """Keep what was collected as it is, behind a commit."""
        if not self.spool.has_news:
            self.spool.freeze()
            return
        self._frozen.clear()
        await self._frozen.wait()

    def _note_fit(self, name: str) -> None:
        path = self.folder.learning / _FIT
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps({"bundle": name}), encoding="utf-8")
        temporary.replace(path)

    def _fail(self, reason: str) -> None:
        self.trouble = f"no bundle could be fitted: {reason}"
        self.fits_failed += 1
        _log.error("no bundle could be fitted, collecting goes on reason=%s", reason)
        (self.folder.learning / _FIT).unlink(missing_ok=True)
        self.spool.thaw(int(_KEPT_SHARE * self._config.learn_size))
        self.spool.trouble = None
        self.phase = COLLECTING

    async def _export(self, command: str, *arguments: str) -> int:
        options = fit_options(self._config)
        if command == "suggest":
            options = suggest_options(self._config)
        return await run_export([command, *arguments, *options], self._on_line)

    def _on_line(self, line: str) -> None:
        self._last_line = line
        if line.startswith(_FAILURES):
            _log.warning(
                "lines that speak of a failure are learnt as normal, since they came while the "
                "stream was collected; report.html in the bundle names them"
            )
        level = logging.DEBUG
        if line.lstrip().startswith(_SAID):
            level = logging.INFO
            line = line.split(_EXAMPLE)[0]
        _log.log(level, "export: %s", line)

    def _leave_out(self, records: int) -> None:
        if not self._seen.left_out:
            _log.error(
                "records are neither learnt from nor judged, there is no room for them bytes=%d "
                "learn_size=%d",
                self.spool.size_bytes,
                self._config.learn_size,
            )
        self._seen.left_out += records

    def _report(self) -> None:
        """A line for each tenth, and one now and then in between."""
        share, at = self._reported
        now = time.monotonic()
        tenth = int(10 * self._share()) / 10
        if tenth > share or now - at >= _REPORT_S:
            self._reported = (tenth, now)
            status = self.status()
            _log.info("%s records=%d bytes=%d", status.words, status.records, status.spool_bytes)


def open_learning(config: Config) -> Learning | None:
    """The learning of the bundle that the parameters name; None if there is a bundle.

    Raises ConfigError as `folder_to_learn_in`, and where another service learns there.
    """
    folder = folder_to_learn_in(config)
    if folder is None:
        return None
    folder.hold()
    return Learning(folder, config)


def folder_to_learn_in(config: Config) -> BundleFolder | None:
    """Where the bundle that the parameters name is learnt; None if there is one. Changes nothing.

    Raises ConfigError where nothing can be learnt, because packages are not installed, for example.
    """
    path = Path(config.bundle)
    folder = BundleFolder(path)
    if folder.learning.is_dir() and folder.current is not None:
        # The bundle is there, but the service that learnt it was killed before it had taken it up.
        return folder
    if not config.learns or _has_bundle(config):
        return None
    check_extra("learn")
    if config.keep or config.annotate:
        raise ConfigError(
            "keep and annotate need a bundle, and learn collects records without handing them on: "
            "learn first, and switch keep or annotate on once there is a bundle"
        )
    if not is_bundle_folder(path):
        raise ConfigError(
            f"bundle {path} holds other files: let bundle name a directory that does not exist yet"
        )
    return folder


def _has_bundle(config: Config) -> bool:
    """Whether there is a bundle already. Raises ConfigError where it is a shipped one."""
    try:
        found = find_bundle(config.bundle)
    except BundleError:
        return False
    if not Path(config.bundle).exists():
        raise ConfigError(
            f"bundle {config.bundle} comes with the package, so that there is nothing to learn: "
            "let bundle name the directory that is to hold the learnt bundle, or leave learn out"
        )
    _log.info("nothing is learnt, because there is a bundle already bundle=%s", found)
    return True
