"""The live page of one service: its parts joined, and kept up to date."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from ..config import Config
from ..runtime.http import Request, Response
from ..runtime.service import Service
from .access import Access, console_token
from .backend import ServiceBackend
from .console import PREFIX, Console
from .history import History
from .rates import Rates

# Seconds between two writes of what changed. A kill takes at most this much from the page's memory.
_FLUSH_S = 1.0


class LivePage:
    """Serves the live page of a service. Raises ConfigError for an unusable token file."""

    def __init__(
        self, config: Config, service: Service, stats: Callable[[], Mapping[str, float]]
    ) -> None:
        self._config = config
        self._token = console_token(config)
        self._history = History(config.history_path)
        self._rates = Rates(stats)
        self._access = Access(self._token, config.metrics_port)
        backend = ServiceBackend(service, self._history, self._rates, stats)
        service.watch_incidents(backend.note)
        self._console = Console(self._access, backend)

    def address(self, host: str, port: int) -> str:
        """Where the page is; with the token, unless the operator has that in a file."""
        if ":" in host:
            host = f"[{host}]"
        address = f"http://{host}:{port}{PREFIX}"
        if self._config.console_token_file is None:
            address += f"#token={self._token}"
        return address

    def numbers(self) -> dict[str, float]:
        """Counters since start, by name."""
        return {
            f"console_refused_{reason}": count for reason, count in self._access.refused.items()
        }

    async def answer(self, request: Request) -> Response:
        """The answer to a request under PREFIX."""
        return await self._console.answer(request)

    async def run(self) -> None:
        """Keep the page's memory up to date until cancelled."""
        rates = asyncio.create_task(self._rates.run())
        try:
            while True:
                await asyncio.sleep(_FLUSH_S)
                self._history.flush()
        finally:
            rates.cancel()
            self._history.close()
