"""Keep learning: at each interval a child fits the next bundle and judges it beside the other.

`ask` reports the candidate, and a person swaps it in. `auto` swaps it in where nothing is against
it. Either way the bundle in use stays among the bundles of the directory, so that the way back is
one command.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import Config, set_flags
from ..errors import ConfigError
from ..timing import BackOff
from .bundles import BundleFolder, is_bundle_folder
from .child import check_extra, run_program
from .recorder import Recorder

_log = logging.getLogger(__name__)

# The share of `refit_size` that the recording has; the reservoir has the rest.
_RECORDED_SHARE = 0.75
# Seconds between two looks at whether a refit is due.
_LOOK_S = 1.0
# Seconds before a refit that failed is tried again: the first pause, and the longest.
_BACK_OFF_S = (600.0, 86_400.0)
# Bundles that stay in the directory beside those that a link names.
_BUNDLES_KEPT = 5
_STATE = "state.json"
# The file in a candidate's directory that holds its figures.
SHADOW = "shadow.json"


@dataclass(frozen=True, slots=True)
class RefitStatus:
    """How far the next bundle is."""

    # `waiting` for the interval, or `fitting`.
    phase: str
    # Unix time of the next refit, in seconds.
    next_at_s: float
    # A bundle that is fitted but not in use, and its figures beside the one in use.
    candidate: str | None
    shadow: dict[str, Any] | None
    # Why the last refit failed.
    trouble: str | None


class Refitting:
    """Records the stream, and has the next bundle fitted; `run` is a task of the service."""

    def __init__(
        self, folder: BundleFolder, config: Config, *, clock: Callable[[], float] = time.time
    ) -> None:
        self.folder = folder
        self.recorder = Recorder(
            recording_of(folder), int(_RECORDED_SHARE * config.refit_size), config.refit_interval
        )
        self._config = config
        self._clock = clock
        self._is_fitting = False
        self._refits = 0
        self._fits_failed = 0
        self._trouble: str | None = None
        self._last_line = ""
        self._state = self._load()
        latest_s = clock() + config.refit_interval
        self._next_at_s = float(self._state.get("next_at_s", latest_s))
        if config.refit_interval < self._state.get("interval_s", 0.0):
            # The interval of the run before was longer, and a person has shortened it.
            self._next_at_s = min(self._next_at_s, latest_s)
        self._save()

    def status(self) -> RefitStatus:
        """How far the next bundle is."""
        candidate = self._candidate()
        shadow = None
        if candidate is not None:
            shadow = self._state.get("shadow")
        phase = "waiting"
        if self._is_fitting:
            phase = "fitting"
        return RefitStatus(
            phase=phase,
            next_at_s=self._next_at_s,
            candidate=candidate,
            shadow=shadow,
            trouble=self._trouble,
        )

    def stats(self) -> dict[str, float]:
        """Its figures, by the names of the metrics."""
        return {
            "refits": self._refits,
            "fits_failed": self._fits_failed,
            "candidate_waiting": float(self._candidate() is not None),
            "recording_size": self.recorder.size_bytes,
            "recording_left_out": self.recorder.left_out,
        }

    def notes(self) -> list[str]:
        """What an operator may want to know although all is well."""
        found = []
        candidate = self._candidate()
        if candidate is not None:
            found.append(
                f"a new bundle waits: fluent-krone bundles swap {self.folder.path} {candidate}"
            )
        if self._trouble is not None:
            found.append(f"the last refit failed, the bundle in use stays: {self._trouble}")
        return found

    async def run(self, on_swap: Callable[[], None]) -> None:
        """Refit at each interval until cancelled. `on_swap` is called when a bundle was put into
        use.
        """
        back_off = BackOff(*_BACK_OFF_S)
        while True:
            while self._clock() < self._next_at_s:
                await asyncio.sleep(_LOOK_S)
            try:
                outcome = await self._refit()
            except (OSError, ValueError, LookupError, TypeError) as error:
                outcome = None
                self._last_line = str(error)
            wait_s = self._config.refit_interval
            if outcome is None:
                self._fail()
                wait_s = min(back_off.next_s(), wait_s)
            else:
                back_off.reset()
                self._take(outcome, on_swap)
            self._next_at_s = self._clock() + wait_s
            self._save()

    def close(self) -> None:
        """Close the files."""
        self.recorder.close()

    async def _refit(self) -> dict[str, Any] | None:
        """What the child says of its bundle; None if it failed."""
        self._is_fitting = True
        self.recorder.flush()
        try:
            code = await run_program(
                ["refit", *set_flags(self._config, "serve"), "--child"], self._on_line
            )
        finally:
            self._is_fitting = False
        if code < 0:
            self._last_line = f"the child was killed by signal {-code}"
        if code != 0:
            return None
        found: dict[str, Any] = json.loads(self._last_line)
        return {"bundle": str(found["bundle"]), "shadow": dict(found["shadow"])}

    def _take(self, outcome: dict[str, Any], on_swap: Callable[[], None]) -> None:
        name = outcome["bundle"]
        self._refits += 1
        self._trouble = None
        self._state = {"candidate": name, "shadow": outcome["shadow"]}
        objections = outcome["shadow"]["objections"]
        if self._config.refit == "auto" and not objections:
            self.folder.use(name)
            _log.info("the new bundle is put into use bundle=%s/%s", self.folder.path, name)
            on_swap()
        else:
            _log.warning(
                "a new bundle waits bundle=%s/%s objections=%s remedy=fluent-krone bundles swap "
                "%s %s",
                self.folder.path,
                name,
                "; ".join(objections) or "none",
                self.folder.path,
                name,
            )
        self.folder.prune(_BUNDLES_KEPT)

    def _fail(self) -> None:
        self._fits_failed += 1
        self._trouble = self._last_line.removeprefix("export: ").removeprefix("fluent-krone: ")
        _log.error("no new bundle, the one in use stays reason=%s", self._trouble)

    def _candidate(self) -> str | None:
        """The bundle that was fitted last, as long as it is neither in use nor was rejected."""
        name = self._state.get("candidate")
        used = (self.folder.current, self.folder.previous)
        if name is None or name in used or not (self.folder.path / name).is_dir():
            return None
        return str(name)

    def _on_line(self, line: str) -> None:
        self._last_line = line
        level = logging.DEBUG
        if line.startswith(("refit:", "export:", "fluent-krone:")):
            level = logging.INFO
        _log.log(level, "refit: %s", line.removeprefix("refit: "))

    def _load(self) -> dict[str, Any]:
        try:
            state = json.loads((self.folder.refit / _STATE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        if not isinstance(state, dict):
            return {}
        return state

    def _save(self) -> None:
        path = self.folder.refit / _STATE
        temporary = path.with_suffix(".new")
        due = {"next_at_s": self._next_at_s, "interval_s": self._config.refit_interval}
        state = self._state | due
        try:
            temporary.write_text(json.dumps(state), encoding="utf-8")
            temporary.replace(path)
        except OSError as error:
            _log.warning("the state of the refit cannot be written reason=%s", error)


def recording_of(folder: BundleFolder) -> Path:
    """Where the last day of the stream is recorded."""
    return folder.refit / "recorded"


def reservoir_of(folder: BundleFolder) -> Path:
    """Where the sessions are that the next bundle is fitted to."""
    return folder.refit / "reservoir"


def reservoir_bytes(config: Config) -> int:
    """How many bytes of records the reservoir may hold."""
    return int((1 - _RECORDED_SHARE) * config.refit_size)


def open_refitting(config: Config, held: BundleFolder | None = None) -> Refitting | None:
    """What refits the bundle that the parameters name; None where it is not to be refitted.

    `held` is the directory, if this process holds it already. Raises ConfigError where another
    service holds it.
    """
    folder = held or BundleFolder(Path(config.bundle))
    if config.refit == "off" or not is_bundle_folder(folder.path) or folder.current is None:
        return None
    try:
        check_extra("refit")
    except ConfigError as error:
        _log.warning("the bundle is not refitted reason=%s", error)
        return None
    if held is None:
        folder.hold()
    return Refitting(folder, config)
