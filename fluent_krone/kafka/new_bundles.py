"""A new bundle for all partitions of an instance: when its files are there, and it may be used.

Where a hash was announced to the group (`kafka-share --announce`), an instance changes only to that
bundle. So it can be copied to all machines first, and then take over everywhere at once.
"""

from __future__ import annotations

import logging
import time

from ..config import Config
from ..detect.bundle import Bundle, bundle_files, load_bundle
from ..errors import KroneError
from ..runtime.wiring import tune_gc
from .judging import Judging

_log = logging.getLogger(__name__)


class NewBundles:
    """Looks for a bundle that differs from the one in use; the main loop calls `look` often."""

    def __init__(self, config: Config, judging: Judging) -> None:
        self._name = config.bundle
        self._interval_s = config.reload_interval
        self._judging = judging
        self._seen = bundle_files(self._name)
        self._loaded = self._seen
        # A bundle that is here, and waits until it is announced.
        self._waiting: Bundle | None = None
        self._looked_at = time.monotonic()
        self._is_asked = False

    def ask(self) -> None:
        """Look now: what SIGHUP does."""
        self._is_asked = True

    def look(self) -> None:
        """Change the bundle if that is due. Loading takes a second, in which nothing is fed."""
        is_due = self._interval_s > 0 and time.monotonic() - self._looked_at >= self._interval_s
        if not (is_due or self._is_asked):
            return
        self._looked_at = time.monotonic()
        found = bundle_files(self._name)
        # Files that still change are half a copy.
        if self._is_asked or (found != self._loaded and found == self._seen):
            self._is_asked = False
            self._loaded = found
            self._load()
        self._seen = found
        if self._waiting is not None and self._judging.may_use(self._waiting):
            self._change_to(self._waiting)

    def _load(self) -> None:
        try:
            bundle = load_bundle(self._name)
        except KroneError as error:
            _log.error("new bundle can't be used, the old one stays in use reason=%s", error)
            return
        self._waiting = None
        if bundle.hash == self._judging.bundle.hash:
            _log.info("bundle is unchanged bundle=%s hash=%s", self._name, bundle.hash)
            return
        self._waiting = bundle
        if not self._judging.may_use(bundle):
            _log.warning("new bundle waits until it is announced hash=%s", bundle.hash)

    def _change_to(self, bundle: Bundle) -> None:
        self._waiting = None
        try:
            self._judging.change_to(bundle)
        except KroneError as error:
            _log.error("new bundle can't be used, the old one stays in use reason=%s", error)
            return
        tune_gc()
        _log.info("new bundle in use bundle=%s hash=%s", self._name, bundle.hash)
