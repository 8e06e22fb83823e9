"""A server that speaks the Messages API, well and badly. The client that asks it is the real one.

    with MessagesAPI() as api:
        api.behave(overloaded(429, "7"), good)  # the last one stays
        ... MessagesAdapter(base_url=api.url, ...) ...
        assert len(api.requests) == 2

A behaviour is a function from the request's body to a `Reply`; `good` answers any case sensibly.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from fluent_krone.explain import Case

# What the tests of both protocols ask about, and the key that must never be seen in a file.
CASE = Case(
    pattern="ab" * 16,
    bundle_hash="b1",
    path=("pump", "open", "jammed"),
    templates=("pump <num> starts", "valve <num> opens", "valve <num> jammed", "pump <num> stops"),
    session=(0, 1, 2, 2, 3),
    start=1,
    end=4,
    event=2,
    normal=((0, 1, 3), (0, 1, 1, 3)),
    evidence="valve <num> jammed was never seen",
)
KEY = "sk-test-key-123"
USAGE = {"input_tokens": 1200, "output_tokens": 300}


@dataclass(frozen=True)
class Reply:
    """What comes back. `after_s`: how long it keeps the client waiting; `broken`: the connection
    ends midway.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    after_s: float = 0.0
    broken: bool = False
    drips: bool = False  # one byte at a time, for ever


@dataclass(frozen=True)
class Request:
    """What came in. Header names are in lower case."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    raw: bytes


Behaviour = Callable[[dict[str, Any]], Reply]


def document(body: dict[str, Any]) -> dict[str, Any]:
    """The case that a question holds."""
    text = body["messages"][-1]["content"]
    [(_, inside, _)] = re.findall(r'<(case id="\w+")>(.*?)</(\1)>\n', text, re.DOTALL)
    found: dict[str, Any] = json.loads(inside)
    return found


def answer(body: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A sensible answer to a question, resting on the oddest event's template."""
    return {
        "verdict": "abnormal",
        "confidence": 0.9,
        "summary": "A step failed that never fails in normal sessions.",
        "cause": "The disk may be full.",
        "check": "Look at the disk.",
        "steps": [document(body)["oddest"]],
    } | fields


def message(text: str, **fields: Any) -> Reply:
    """200 with a message that says `text`."""
    return as_json(
        200,
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude-haiku-5-5",
            "content": [
                {"type": "thinking", "thinking": "", "signature": "x"},
                {"type": "text", "text": text},
            ],
            "stop_reason": "end_turn",
            "stop_sequence": None,
            "usage": USAGE,
        }
        | fields,
    )


def as_json(status: int, body: Any, **headers: str) -> Reply:
    """A JSON body."""
    return Reply(status, {"content-type": "application/json", **headers}, json.dumps(body).encode())


def good(body: dict[str, Any]) -> Reply:
    """A whole and sensible answer."""
    return message(json.dumps(answer(body)))


def says(**fields: Any) -> Behaviour:
    """The good answer but for these fields."""
    return lambda body: message(json.dumps(answer(body, **fields)))


def text(words: str, **fields: Any) -> Behaviour:
    """A message that says these words; `fields` are the message's."""
    return lambda _: message(words, **fields)


def slow(after_s: float) -> Behaviour:
    """The good answer, late."""
    return lambda body: Reply(
        200, {"content-type": "application/json"}, good(body).body, after_s=after_s
    )


def drips(_: dict[str, Any]) -> Reply:
    """An answer that never ends, though something comes all the time."""
    return Reply(200, {"content-type": "application/json"}, drips=True)


def error(status: int, **headers: str) -> Behaviour:
    """An error as the API words them, the key it was asked with included: some gateways echo it."""
    reply = {
        "type": "error",
        "error": {"type": "some_error", "message": "refused: x-api-key sk-test-key-123"},
    }
    return lambda _: as_json(status, reply, **headers)


def overloaded(status: int = 529, retry_after: str | None = None) -> Behaviour:
    """429, 503 or 529."""
    return error(status, **({"retry-after": retry_after} if retry_after else {}))


def refusal(_: dict[str, Any]) -> Reply:
    """The model would not."""
    return message("", stop_reason="refusal", content=[])


def cut_off(body: dict[str, Any]) -> Reply:
    """An answer that reached max_tokens."""
    return message(json.dumps(answer(body))[:40], stop_reason="max_tokens")


def page(_: dict[str, Any]) -> Reply:
    """A gateway's page, with 200."""
    return Reply(200, {"content-type": "text/html"}, b"<!doctype html><title>Sign in</title>")


def broken(body: dict[str, Any]) -> Reply:
    """The connection ends in the middle of the answer."""
    return Reply(200, {"content-type": "application/json"}, good(body).body, broken=True)


class MessagesAPI:
    """The server, on a loopback port of its own, while its `with` block lasts. Thread-safe
    enough for tests.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.most_at_once = 0
        self._behaviours: list[Behaviour] = [good]
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._at_once = 0
        self._server = _Server(self)

    @property
    def url(self) -> str:
        """For `base_url`."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def behave(self, *behaviours: Behaviour) -> None:
        """One request each, in order; the last one for all that follow."""
        with self._lock:
            self._behaviours = list(behaviours)

    def __enter__(self) -> MessagesAPI:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()

    def take(self, request: Request) -> Reply:
        """The reply to a request, after its wait. The server calls it."""
        with self._lock:
            self.requests.append(request)
            behaviour = (
                self._behaviours.pop(0) if len(self._behaviours) > 1 else self._behaviours[0]
            )
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            reply = behaviour(request.body)
            self.wait(reply.after_s)
            return reply
        finally:
            with self._lock:
                self._at_once -= 1

    def wait(self, seconds: float) -> bool:
        """Whether the server stops meanwhile."""
        return self._stopping.wait(seconds) if seconds else self._stopping.is_set()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, api: MessagesAPI) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.api = api

    def handle_error(self, *_: object) -> None:
        """A client that went away is part of a test."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["content-length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.server.api.take(Request(self.path, headers, json.loads(raw), raw))
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(10**6 if reply.drips else len(reply.body)))
        self.end_headers()
        while reply.drips and not self.server.api.wait(0.02):
            self.wfile.write(b" ")
            self.wfile.flush()
        self.wfile.write(reply.body[: len(reply.body) // 2] if reply.broken else reply.body)
        self.close_connection = self.close_connection or reply.broken

    def log_message(self, *_: object) -> None:
        pass
