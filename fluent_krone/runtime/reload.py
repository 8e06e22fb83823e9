"""Hot reload: a new bundle replaces the one at work, on SIGHUP or when its files change."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from ..detect.bundle import Bundle, bundle_files, load_bundle
from ..errors import KroneError
from .wiring import tune_gc

_log = logging.getLogger(__name__)


class BundleWatch:
    """Loads `name` again when asked or when its files have changed, and hands it to `reload`.

    A bundle that can't be loaded is reported, and the one at work stays. Changed files are loaded
    only once they have stayed the same between two looks: a bundle is copied file by file, and half
    a copy must not be loaded. `interval_s` 0 loads only when asked.
    """

    def __init__(
        self,
        name: str,
        loaded: Bundle,
        reload: Callable[[Bundle], Awaitable[None]],
        interval_s: float,
    ) -> None:
        self._name = name
        self._hash = loaded.hash
        self._reload = reload
        self._interval_s = interval_s
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """Look now: what SIGHUP does."""
        self._asked.set()

    async def run(self) -> None:
        """Watch until cancelled."""
        loaded = last = bundle_files(self._name)
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), self._interval_s or None)
            found = bundle_files(self._name)
            is_settled_change = found != loaded and found == last
            if self._asked.is_set() or is_settled_change:
                self._asked.clear()
                loaded = found
                await self._load()
            last = found

    async def _load(self) -> None:
        try:
            # In a thread, because records come in meanwhile.
            bundle = await asyncio.to_thread(load_bundle, self._name)
            if bundle.hash == self._hash:
                _log.info("bundle is unchanged bundle=%s hash=%s", self._name, bundle.hash)
                return
            await self._reload(bundle)
        except KroneError as error:
            _log.error(
                "new bundle can't be used, the old one stays in use hash=%s reason=%s",
                self._hash,
                error,
            )
            return
        self._hash = bundle.hash
        tune_gc()
        _log.info("new bundle in use bundle=%s hash=%s", self._name, bundle.hash)
