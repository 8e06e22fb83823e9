"""The live page: its requests, and its parts joined and kept up to date.

Requests ask for static files and for what the service knows, or change what a person may change.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from ..config import Config
from ..errors import KroneError
from ..page import script, text_of
from ..runtime.http import EVENTS, JSON, Request, Response
from ..runtime.service import Service
from .access import Access, console_token
from .backend import ServiceBackend
from .history import History
from .rates import Rates

# Where the page lives on the port of the metrics.
PREFIX = "/console/"
# What a person may ask the service to do.
CHANGES = ("mark", "unmark", "accept", "take_back", "bundle")
# The scripts of the page, in the order in which they are joined: the last one starts.
_SCRIPTS = (
    "alert.js",
    "console_parts.js",
    "console_incident.js",
    "console_marks.js",
    "console_help.js",
    "console_tabs.js",
    "console.js",
)
# Seconds between two looks for news. A browser then asks for what it shows.
_NEWS_S = 1.0
# Seconds after which a page is refreshed although nothing happened: rates and times go on.
_REFRESH_S = 15.0
# Incidents in one answer. The page asks for more when its reader wants more.
_PAGE = 100
# The most incidents that one answer may hold: a page that was unfolded far is loaded again.
_MOST_INCIDENTS = 2000
# Seconds between two writes of what changed. A kill takes at most this much from the page's memory.
_FLUSH_S = 1.0
# What a browser may do with the page: nothing but run its own script and style, and ask us.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SAFE = (
    ("Content-Security-Policy", _POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
)


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
        backend = self._backend = ServiceBackend(service, self._history, self._rates, stats)
        service.watch_incidents(backend.note)
        style = text_of("page.css") + text_of("console.css")
        # Without the token a reader sees only these, which hold nothing about the service.
        self._files = {
            "": (text_of("console.html"), "text/html; charset=utf-8"),
            "console.css": (style, "text/css; charset=utf-8"),
            "console.js": (script(*_SCRIPTS), "text/javascript; charset=utf-8"),
        }
        self._views: dict[str, Callable[[Mapping[str, str]], dict[str, Any]]] = {
            "overview": lambda _: backend.overview(),
            "incidents": self._incidents,
            "incident": lambda query: backend.incident(query.get("id", "")),
            "said": lambda _: backend.said(),
        }

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

    async def answer(self, request: Request) -> Response:
        """The answer to a request whose path begins with PREFIX."""
        response = await self._answer(request)
        return Response(
            response.status,
            response.body,
            response.kind,
            (*response.headers, *_SAFE),
            response.stream,
        )

    async def _answer(self, request: Request) -> Response:
        name = request.path.removeprefix(PREFIX)
        is_reading = request.method in ("GET", "HEAD")
        if name in self._files and is_reading:
            body, kind = self._files[name]
            return Response(200, body.encode(), kind)
        if name == "login" and request.method == "POST":
            return self._access.log_in(request)
        refusal = self._access.refusal(request)
        if refusal is not None:
            return refusal
        if name == "events" and is_reading:
            return Response(200, kind=EVENTS, stream=self._news())
        if name in self._views and is_reading:
            return self._told(lambda: self._views[name](request.query))
        if name in CHANGES and request.method == "POST":
            return self._told(lambda: self._change(name, request))
        return _error(404, "there is no such page")

    def _told(self, work: Callable[[], dict[str, Any]]) -> Response:
        try:
            found = work()
        except KroneError as error:
            return _error(400, str(error))
        # A score may be NaN, which no browser reads as JSON.
        body = json.dumps(_finite(found), allow_nan=False, separators=(",", ":"))
        return Response(200, body.encode(), JSON)

    def _incidents(self, query: Mapping[str, str]) -> dict[str, Any]:
        try:
            count = int(query.get("count", ""))
        except ValueError:
            count = 0
        count = min(max(count, _PAGE), _MOST_INCIDENTS)
        return self._backend.incidents(
            query.get("q", ""),
            query.get("state", ""),
            query.get("order", ""),
            query.get("after", ""),
            count,
        )

    def _change(self, name: str, request: Request) -> dict[str, Any]:
        try:
            told = json.loads(request.body)
        except (ValueError, RecursionError):
            told = None
        if not isinstance(told, dict):
            raise KroneError("the request must hold a JSON object")
        self._backend.change(name, told)
        return {}

    async def _news(self) -> AsyncIterator[bytes]:
        """An event whenever the page would show something else, and now and then without."""
        loop = asyncio.get_running_loop()
        last = self._backend.version()
        at = loop.time()
        # The first bytes make the browser call the connection open.
        yield b": fluent-krone\n\n"
        while True:
            await asyncio.sleep(_NEWS_S)
            now = self._backend.version()
            if now != last or loop.time() >= at + _REFRESH_S:
                last = now
                at = loop.time()
                yield b"event: news\ndata: {}\n\n"


def _error(status: int, words: str) -> Response:
    return Response(status, json.dumps({"error": words}).encode(), JSON)


def _finite(value: Any) -> Any:
    """The value with text in place of numbers that JSON does not have."""
    if isinstance(value, dict):
        return {name: _finite(held) for name, held in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(held) for held in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    return value
