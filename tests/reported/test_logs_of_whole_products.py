"""Logs of products as a new user meets them: what is read of each line, and the key suggested.

Was wrong: AWS Lambda's lines had the host `START`, or neither time nor request; the ids of NATS'
connections and of the spans of Rust's tracing were stripped with the header, so that no key found
them; loggers of ClickHouse, strongSwan and GitHub's runner were lost; and the key of a log was a
field that a third of its records have, or none. Clients of OpenVPN were hosts, and the requests
that WebLogic counts had no key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import cycle, islice
from random import Random
from uuid import UUID

import pytest

from export.guess import guess_line_format
from export.header_times import compiled
from export.session_key import suggest_session_keys

SESSIONS = 60
STEPS = ("Received order", "Reserving items", "Payment authorised in 31 ms", "Confirmed")
PARTS = ("orders", "stock", "payment", "orders")
LEVELS = ("INFO", "DEBUG", "INFO", "WARN")


def uuid_of(number: int) -> str:
    return str(UUID(int=Random(number).getrandbits(128), version=4))


def time_of(number: int) -> str:
    return f"2026-11-18T08:{number // 60 % 60:02d}:{number % 60:02d}.{number % 1000:03d}"


def sessions(step: Callable[[int, int, int], Sequence[str]]) -> list[str]:
    """Lines of sessions, two of which always take turns."""
    lines: list[str] = []
    for first in range(0, SESSIONS, 2):
        for n in range(len(STEPS)):
            for session in (first, first + 1):
                lines += step(session, n, len(lines))
    return lines


def fields_of(lines: Sequence[str]) -> list[Mapping[str, str]]:
    """What the guessed header reads of each line."""
    guess = guess_line_format(lines)
    assert guess is not None
    form = compiled(guess.line_format)
    found = [form.match(line) for line in lines]
    return [
        {name: value for name, value in one.groupdict().items() if value} if one else {}
        for one in found
    ]


def key_of(lines: Sequence[str]) -> str:
    """The key that is suggested for lines behind their guessed header."""
    taken = [dict(fields) for fields in fields_of(lines)]
    return suggest_session_keys((one.pop("message"), one) for one in taken)[0].option


def lambda_of(own: str, shown: str = "") -> list[str]:
    """Lines of AWS Lambda: those around a function's, and its own; `shown` stands before both."""

    def step(session: int, n: int, at: int) -> Sequence[str]:
        request = uuid_of(session)
        said = own.format(t=time_of(at), r=request, L=LEVELS[n], m=STEPS[n])
        lines = [said]
        if n == 0:
            lines = [f"START RequestId: {request} Version: $LATEST", said]
        elif n == len(STEPS) - 1:
            report = f"REPORT RequestId: {request}\tDuration: 3.10 ms\tBilled Duration: 4 ms"
            lines = [said, f"END RequestId: {request}", report]
        return [shown.format(t=time_of(at)) + line for line in lines]

    return sessions(step)


@pytest.mark.parametrize("own", ["{t}Z\t{r}\t{L}\t{m}", "[{L}]\t{t}Z\t{r}\t{m}"])
def test_lambda_names_the_request_in_all_lines(own: str) -> None:
    lines = [*lambda_of(own), f"{time_of(7)}Z {uuid_of(7)} Task timed out after 3.00 seconds"]
    fields = fields_of(lines)
    assert key_of(lines) == "request"
    for line, found in zip(lines, fields, strict=True):
        assert found["request"] in line
        if line.startswith(("START", "END", "REPORT")):
            assert found == {"request": found["request"], "message": line}
        else:
            assert found["time"] in line
            assert found["message"] in (*STEPS, "Task timed out after 3.00 seconds")
            assert ("level" in found) == (found["message"] in STEPS)


@pytest.mark.parametrize("shown", ["{t}+00:00 ", "{t}Z 2026/11/18/[$LATEST]0a1b2c3d "])
def test_lambda_as_its_tool_shows_it(shown: str) -> None:
    lines = lambda_of("{t}Z\t{r}\t{L}\t{m}", shown)
    for line, found in zip(lines, fields_of(lines), strict=True):
        assert line.startswith(found["time"])
        assert "host" not in found
        assert found["message"].startswith((*STEPS, "START Req", "END Req", "REPORT Req"))


def test_what_names_an_id_is_no_program() -> None:
    lines = [f"{time_of(n)}Z {word} orderId: {n}" for n in range(90) for word in ("GOT", "PUT")]
    assert not any({"host", "component"} & one.keys() for one in fields_of(lines))


def test_an_address_with_a_port_is_no_host() -> None:
    clients = [f"10.{n % 4}.{n * 37 % 250}.{n * 11 % 200 + 1}:{30000 + 7 * n}" for n in range(60)]
    lines = [
        f"2026-11-18 08:00:{n:02d} {client} TLS: Initial packet from [AF_INET]{client}, sid={n:08x}"
        for n, client in enumerate(clients)
    ]
    assert not any("host" in one for one in fields_of(lines))


def nats(session: int, n: int, at: int) -> Sequence[str]:
    said = ("Client connection created", '"v1.31.0:go" - Client Ping Timer', "Account used", "Bye")
    client = f"10.1.{session}.9:{30000 + session}"
    return [f"[1] 2026/11/18 08:00:{at % 60:02d}.000017 [DBG] {client} - cid:{session} - {said[n]}"]


def test_a_number_that_several_messages_share_stays_in_them() -> None:
    lines = sessions(nats)
    assert all(" - cid:" in one["message"] and one["level"] == "DBG" for one in fields_of(lines))
    assert key_of(lines) == "/cid:(-?[0-9]+)/"


def test_a_place_in_a_source_is_stripped_as_before() -> None:
    lines = sessions(
        lambda session, n, at: [
            f"{time_of(at)}Z INFO {PARTS[n]}:{17 + n} - {STEPS[n]} of order {session}"
        ]
    )
    assert all(one["component"] in PARTS for one in fields_of(lines))


COMPONENTS = {
    "clickhouse": (
        "2026.11.18 08:00:00.000017 [ 17 ] {{{r}}} <Debug> {c}: {m}",
        ("executeQuery", "ContextAccess (default)", "default.hits (SelectExecutor)", "TCPHandler"),
    ),
    "github": ("[2026-11-18 08:00:00Z INFO {c}] {m}", ("JobDispatcher", "WorkerDispatcher")),
    "strongswan": ("2026-11-18T08:00:00+0100 0{n}[{c}] {m}", ("IKE", "NET", "CFG")),
    "tracing": (
        "2026-11-18T08:00:00.000017Z  INFO request{{id={r} method=GET}}:db: {c}: {m}",
        ("app::orders", "app::stock"),
    ),
    "tracing_within": (
        "2026-11-18T08:00:00.000017Z  INFO main:request{{id={r}}}: {c}: {m}",
        ("app::orders", "app::stock"),
    ),
}


@pytest.mark.parametrize("product", COMPONENTS)
def test_the_component_is_read(product: str) -> None:
    form, names = COMPONENTS[product]
    named = [*islice(cycle(names), len(STEPS))]
    lines = sessions(
        lambda session, n, _: [form.format(r=uuid_of(session), c=named[n], m=STEPS[n], n=n)]
    )
    plain = [name.split(" (")[0] for name in names]
    for found in fields_of(lines):
        assert found["component"] in plain
        assert found["message"] in STEPS


@pytest.mark.parametrize("spans", ["request{{id={r}}}", "main:call{{k=1 request_id={r}}}:db"])
def test_the_id_of_a_span_is_the_key(spans: str) -> None:
    lines = sessions(
        lambda session, n, at: [
            f"{time_of(at)}Z  INFO {spans.format(r=uuid_of(session))}: app::{PARTS[n]}: {STEPS[n]}"
        ]
    )
    assert key_of(lines) == "request"


KEYS = {
    # MongoDB: the first and the last record of a connection have its number in another field
    "/ctx": lambda session, n: (
        STEPS[n],
        {"ctx": f"conn{session}"} | ({"connectionId": str(session)} if n in (0, 3) else {}),
    ),
    # Argo CD
    "/application=([^\\s,;]+)/": lambda session, n: (
        f'msg="{STEPS[n]}" application=argocd/{PARTS[session % 3]}-x{session}k',
        {},
    ),
    # FreeRADIUS
    "/\\((-?[0-9]+)/": lambda session, n: (
        f"({session}) {STEPS[n]} (from client ap{session % 3})",
        {},
    ),
    # WebLogic
    "/[0-9a-f]{8}-[0-9a-f-]{36}/": lambda session, n: (
        f"<{uuid_of(session // 20)}-{session:08x}> <{STEPS[n]}>",
        {},
    ),
    # Asterisk, whose thread looks like logrus' time since its start
    "/thread": lambda session, n: (
        STEPS[n],
        {"uptime": str(2000 + session), "thread": f"C-{session}"},
    ),
}


@pytest.mark.parametrize("key", KEYS)
def test_the_key_of_all_records_is_suggested(key: str) -> None:
    sample = [KEYS[key](session, n) for session in range(SESSIONS) for n in range(len(STEPS))]
    expected = key if key.endswith("/") else key.removeprefix("/")
    assert suggest_session_keys(sample)[0].option == expected
