"""A small HTTP server on the service's own event loop, for metrics, health and the live page.

h11 reads and writes the protocol; this module moves the bytes and limits what a client may cost.
Each connection carries one request, since the clients are a scraper, a probe, or a few browser
tabs. The server runs on the loop of the service and not in a thread. So no figure changes while it
is read, and a loop that hangs is noticed: there is no answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from urllib.parse import parse_qsl, urlsplit

import h11

_log = logging.getLogger(__name__)

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
EVENTS = "text/event-stream"
# Seconds that a client has to send its request, and again to read the answer.
_REQUEST_S = 5.0
# Seconds between two tries to listen at an address that is taken.
_RETRY_S = 5.0
# Clients answered at the same time; Prometheus, a probe and a browser need a handful. More are
# closed unanswered.
_MAX_CLIENTS = 16
# Streams of events that are open at the same time, one for each tab of a browser. They stay open
# for hours, so they are not counted among the clients above.
_MAX_STREAMS = 16
# Bytes of a request's head. Prometheus sends a few hundred, a browser one or two thousand.
_MAX_HEAD_BYTES = 2**14
# Bytes of a request's body. The longest one is a mark with its note.
_MAX_BODY_BYTES = 2**16
# Bytes that are read at once.
_READ_BYTES = 2**14


@dataclass(frozen=True, slots=True)
class Request:
    """A request. Names of headers are in lower case; of a repeated one the last value counts."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer. With `stream`, its parts follow until the client leaves, in place of `body`."""

    status: int
    body: bytes = b""
    kind: str = TEXT
    headers: tuple[tuple[str, str], ...] = ()
    stream: AsyncIterator[bytes] | None = None


# What answers a request. It must not raise: an error in it ends only this request, with 500.
Handler = Callable[[Request], Awaitable[Response]]


class HttpServer:
    """Answers requests at `host:port` by `handler`; `port` 0 takes a free one.

    An address that cannot be had never stops the service: it is reported, and tried again.
    """

    def __init__(self, host: str, port: int, handler: Handler) -> None:
        self._address = (host, port)
        self._handler = handler
        self._clients = 0
        self._streams = 0

    async def run(self, listens: Callable[[str, int], None]) -> None:
        """Serve until cancelled; `listens` is called with the host and port that were taken."""
        server = await self._listen()
        host, port = server.sockets[0].getsockname()[:2]
        listens(host, port)
        async with server:
            await server.serve_forever()

    async def _listen(self) -> asyncio.Server:
        for attempt in itertools.count():
            try:
                return await asyncio.start_server(self._serve, *self._address)
            except OSError as error:
                if attempt == 0:
                    _log.error("no metrics, tried again every %g s reason=%s", _RETRY_S, error)
                await asyncio.sleep(_RETRY_S)
        raise AssertionError("BUG: count() ended")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEAD_BYTES)
        self._clients += 1
        is_client = True
        try:
            if self._clients > _MAX_CLIENTS:
                return
            async with asyncio.timeout(_REQUEST_S):
                response = await self._response(connection, reader)
            if response.stream is None:
                await _write(connection, writer, response)
                return
            self._clients -= 1
            is_client = False
            await self._stream(connection, reader, writer, response)
        except (OSError, TimeoutError, h11.LocalProtocolError):
            # The client is gone, or sent nothing that could be answered.
            pass
        finally:
            self._clients -= is_client
            writer.close()

    async def _response(self, connection: h11.Connection, reader: asyncio.StreamReader) -> Response:
        try:
            request = await _request(connection, reader)
        except h11.RemoteProtocolError as error:
            return Response(error.error_status_hint, b"this is no HTTP request that can be read\n")
        try:
            response = await self._handler(request)
        except Exception:
            _log.exception("BUG: a request failed path=%r", request.path)
            return Response(500, b"BUG: see the log of fluent-krone\n")
        if request.method == "HEAD":
            length = ("Content-Length", str(len(response.body)))
            return Response(response.status, b"", response.kind, (*response.headers, length))
        return response

    async def _stream(
        self,
        connection: h11.Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        response: Response,
    ) -> None:
        """Send the parts of a stream until it ends or the client leaves."""
        assert response.stream is not None
        self._streams += 1
        try:
            if self._streams > _MAX_STREAMS:
                await _write(connection, writer, Response(503, b"too many pages are open\n"))
                return
            writer.write(_head(connection, response))
            await writer.drain()
            sending = asyncio.ensure_future(_send_parts(connection, writer, response.stream))
            leaving = asyncio.ensure_future(reader.read(1))
            _, pending = await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
            for task in pending:
                task.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)
        finally:
            self._streams -= 1


async def _request(connection: h11.Connection, reader: asyncio.StreamReader) -> Request:
    """The request of a connection. Raises h11.RemoteProtocolError with the status to answer."""
    head: h11.Request | None = None
    body = b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            if connection.they_are_waiting_for_100_continue:
                raise h11.RemoteProtocolError("no 100-continue", error_status_hint=417)
            connection.receive_data(await reader.read(_READ_BYTES))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > _MAX_BODY_BYTES:
                raise h11.RemoteProtocolError("the body is too long", error_status_hint=413)
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            return _readable(head, body)
        else:
            # The client closed the connection before its request was complete.
            raise h11.RemoteProtocolError("no request", error_status_hint=400)


def _readable(head: h11.Request, body: bytes) -> Request:
    target = urlsplit(head.target.decode("latin-1"))
    return Request(
        method=head.method.decode("latin-1"),
        path=target.path,
        query=dict(parse_qsl(target.query, keep_blank_values=True)),
        headers={name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers},
        body=body,
    )


async def _write(
    connection: h11.Connection, writer: asyncio.StreamWriter, response: Response
) -> None:
    """Send a whole answer, and wait until the client has read most of it."""
    if response.body:
        length = ("Content-Length", str(len(response.body)))
        response = replace(response, headers=(*response.headers, length))
    data = _head(connection, response)
    if response.body:
        data += connection.send(h11.Data(data=response.body)) or b""
    writer.write(data)
    async with asyncio.timeout(_REQUEST_S):
        await writer.drain()


def _head(connection: h11.Connection, response: Response) -> bytes:
    headers = [("Content-Type", response.kind), ("Connection", "close"), *response.headers]
    event = h11.Response(
        status_code=response.status,
        reason=HTTPStatus(response.status).phrase.encode(),
        headers=headers,
    )
    return connection.send(event) or b""


async def _send_parts(
    connection: h11.Connection, writer: asyncio.StreamWriter, parts: AsyncIterator[bytes]
) -> None:
    with contextlib.suppress(OSError):
        async for part in parts:
            writer.write(connection.send(h11.Data(data=part)) or b"")
            await writer.drain()
