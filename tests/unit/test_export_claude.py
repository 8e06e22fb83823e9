"""The tree asked of Claude: the real client against a server that speaks the Messages API, well
and badly.
"""

from __future__ import annotations

import csv
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from export.claude import PER_REQUEST, ClaudeExtractor
from export.cli import main
from export.hierarchy import HierarchyExtractor, TreeRow, extract
from fluent_krone.errors import ExportError

TEMPLATES = ["pump: opened valve <num>", "pump: valve <num> jammed", "tank <id> filled"]
KEY = "sk-test-123"

Reply = tuple[int, dict[str, str], Any]  # status, headers, body


def message(text: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-5-5",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    } | fields


def rows(request: dict[str, Any]) -> list[dict[str, Any]]:
    """What a good model says: first word, second word, `ok`."""
    asked = json.loads(request["messages"][0]["content"])
    return [
        {
            "number": row["number"],
            "entity": row["template"].split()[0].strip(":"),
            "action": "Look",
            "status": "OK",
        }
        for row in asked
    ]


def good(request: dict[str, Any]) -> Reply:
    return 200, {}, message(json.dumps({"templates": rows(request)}))


class StandIn(ThreadingHTTPServer):
    """Answers by `reply`; keeps what it was sent."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.reply: Callable[[dict[str, Any]], Reply] = good
        self.results_at = self.url
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.batch: list[dict[str, Any]] = []
        self.polls_until_ended = 1
        self.stop = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: object) -> None:
        """A client that went away is part of a test."""

    def asked(self) -> list[str]:
        """Templates asked for, in all requests."""
        texts = [json.loads(request["messages"][0]["content"]) for request in self.requests]
        return [row["template"] for text in texts for row in text]


class _Handler(BaseHTTPRequestHandler):
    server: StandIn

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])) or b"{}")
        self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
        if self.path == "/v1/messages":
            self.server.requests.append(body)
            self._send(*self.server.reply(body))
        elif self.path == "/v1/messages/batches":
            self.server.batch = body["requests"]
            self.server.requests += [request["params"] for request in body["requests"]]
            self._send(200, {}, self._batch())
        else:  # cancel
            self._send(200, {}, self._batch())

    def do_GET(self) -> None:
        self.server.headers.append({name.lower(): value for name, value in self.headers.items()})
        if self.path.endswith("/results"):
            self._send(
                200,
                {"content-type": "application/x-jsonl"},
                "\n".join(map(json.dumps, self._results())),
            )
        else:
            self.server.polls_until_ended -= 1
            self._send(200, {}, self._batch())

    def _batch(self) -> dict[str, Any]:
        ended = self.server.polls_until_ended <= 0
        return {
            "id": "batch_1",
            "type": "message_batch",
            "processing_status": "ended" if ended else "in_progress",
            "results_url": f"{self.server.results_at}/v1/messages/batches/batch_1/results"
            if ended
            else None,
            "request_counts": {
                "processing": 1,
                "succeeded": 0,
                "errored": 0,
                "canceled": 0,
                "expired": 0,
            },
            "created_at": "2026-01-01T00:00:00Z",
            "expires_at": "2026-01-02T00:00:00Z",
        }

    def _results(self) -> Iterator[dict[str, Any]]:
        for request in self.server.batch:
            status, _, body = self.server.reply(request["params"])
            result = (
                {"type": "succeeded", "message": body}
                if status == 200
                else {"type": "errored", "error": body}
            )
            yield {"custom_id": request["custom_id"], "result": result}

    def _send(self, status: int, headers: dict[str, str], body: Any) -> None:
        content = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def listening() -> Iterator[StandIn]:
    with StandIn() as stand_in:
        threading.Thread(target=stand_in.serve_forever, args=(0.01,), daemon=True).start()
        yield stand_in
        stand_in.stop.set()
        stand_in.shutdown()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    with listening() as stand_in:
        yield stand_in


@pytest.fixture
def elsewhere() -> Iterator[StandIn]:
    """Another host, to which nothing must go."""
    with listening() as stand_in:
        yield stand_in
        assert (stand_in.requests, stand_in.headers) == ([], [])


Make = Callable[..., ClaudeExtractor]


@pytest.fixture
def claude(server: StandIn, tmp_path: Path) -> Make:
    def make(**options: Any) -> ClaudeExtractor:
        given = {
            "model": "claude-haiku-5-5",
            "cache": tmp_path / "cache" / "answers.jsonl",
            "base_url": server.url,
        }
        return ClaudeExtractor(**given | {"retries": 0, "batch_poll_s": 0.01} | options)

    return make


def test_answers_make_the_tree(server: StandIn, claude: Make) -> None:
    extractor: HierarchyExtractor = claude()
    assert extractor(TEMPLATES) == [
        TreeRow(TEMPLATES[0], "pump", "look", "ok", "claude"),
        TreeRow(TEMPLATES[1], "pump", "look", "ok", "claude"),
        TreeRow(TEMPLATES[2], "tank", "look", "ok", "claude"),
    ]
    [request] = server.requests
    assert server.asked() == TEMPLATES
    assert request["model"] == "claude-haiku-5-5"
    assert request["output_config"]["format"]["type"] == "json_schema"
    assert "temperature" not in request
    assert [m["role"] for m in request["messages"]] == ["user"]


def test_the_key_comes_from_its_own_variable_only(
    server: StandIn, claude: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "another")
    claude()(TEMPLATES)
    sent = " ".join(server.headers[0].values())
    assert KEY in sent
    assert "another" not in sent
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    with pytest.raises(ExportError, match="ANTHROPIC_API_KEY"):
        claude()(["never asked <num>"])


def test_what_looks_like_a_secret_does_not_leave(server: StandIn, claude: Make) -> None:
    told = [
        "pump: login password=hunter2 refused",
        "mail to anna@example.org bounced",
        "host 10.1.2.3 left",
        TEMPLATES[0],
    ]
    leaves = claude()([*told, "so\u200bli\u200btary"])
    assert [leaf.template for leaf in leaves] == [*told, "so\u200bli\u200btary"]
    assert [leaf.entity for leaf in leaves] == ["pump", "mail", "host", "pump", "solitary"]
    assert server.asked() == [
        *(
            "pump: login password=<secret> refused",
            "mail to <email> bounced",
            "host <ip> left",
            TEMPLATES[0],
        ),
        "solitary",
    ]


def test_a_secret_does_not_leave_by_half(server: StandIn, claude: Make) -> None:
    claude()(["x" * 1985 + " password=hunter2"])
    assert "hunter" not in json.dumps(server.requests)


@pytest.mark.parametrize(
    "url",
    ["http://gateway.example", "http://10.0.0.1:8080", "ftp://127.0.0.1", "gateway", "http://["],
)
def test_the_key_goes_nowhere_in_the_clear(claude: Make, url: str) -> None:
    with pytest.raises(ExportError, match="must be https"):
        claude(base_url=url)


@pytest.mark.parametrize(
    "url",
    ["https://gateway.example/claude", "http://localhost:1", "http://[::1]:1", "http://127.0.0.2"],
)
def test_a_gateway_may_be_private_or_on_this_machine(claude: Make, url: str) -> None:
    assert claude(base_url=url).base_url == url


@pytest.mark.parametrize("code", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(
    server: StandIn, elsewhere: StandIn, claude: Make, code: int
) -> None:
    server.reply = lambda request: (code, {"location": f"{elsewhere.url}/v1/messages"}, {})
    leaves = claude(retries=2)(MANY)
    assert {leaf.source for leaf in leaves} == {f"offline (claude failed: HTTP {code})"}
    assert len(server.requests) == 1


def test_a_batch_is_not_fetched_from_another_host(
    server: StandIn, elsewhere: StandIn, claude: Make
) -> None:
    server.results_at = elsewhere.url
    leaves = claude(batch_from=1)(TEMPLATES)
    assert {leaf.source for leaf in leaves} == {"offline (claude failed: results at another host)"}


def test_nothing_is_asked_twice(
    server: StandIn, claude: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = claude()(TEMPLATES[:2])
    assert claude()(TEMPLATES)[:2] == first
    assert server.asked() == TEMPLATES
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    assert [leaf.source for leaf in claude()(TEMPLATES)] == ["claude"] * 3
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    claude(model="claude-other")(TEMPLATES[:1])
    assert server.asked() == [*TEMPLATES, TEMPLATES[0]], "another model has not answered yet"


def test_a_damaged_cache_costs_its_lines_only(
    server: StandIn, claude: Make, tmp_path: Path
) -> None:
    claude()(TEMPLATES)
    cache = tmp_path / "cache" / "answers.jsonl"
    lines = cache.read_text(encoding="utf-8").splitlines()
    cache.write_text(
        "\n".join([lines[0], lines[1][:20], "[1]", "7", '{"model": 1}', lines[2], ""]),
        encoding="utf-8",
    )
    claude()(TEMPLATES)
    assert server.asked() == [*TEMPLATES, TEMPLATES[1]]


def test_an_entity_has_one_spelling(server: StandIn, claude: Make) -> None:
    def shout(request: dict[str, Any]) -> Reply:
        told = rows(request)
        told[1]["entity"] = told[1]["entity"].upper()
        return 200, {}, message(json.dumps({"templates": told}))

    server.reply = shout
    assert [leaf.entity for leaf in claude()(TEMPLATES)] == ["pump", "pump", "tank"]


def truncated(request: dict[str, Any]) -> Reply:
    return 200, {}, message(good(request)[2]["content"][0]["text"][:40])


FAILURES: dict[str, tuple[Callable[[dict[str, Any]], Reply], str]] = {
    "429": (
        lambda r: (
            429,
            {"retry-after": "0"},
            {"type": "error", "error": {"type": "rate_limit_error"}},
        ),
        "HTTP 429",
    ),
    "529": (
        lambda r: (529, {}, {"type": "error", "error": {"type": "overloaded_error"}}),
        "HTTP 529",
    ),
    "key": (
        lambda r: (401, {}, {"type": "error", "error": {"type": "authentication_error"}}),
        "HTTP 401",
    ),
    "refusal": (lambda r: (200, {}, message("", stop_reason="refusal", content=[])), "refusal"),
    "cut off": (
        lambda r: (200, {}, message('{"templates": [', stop_reason="max_tokens")),
        "cut off",
    ),
    "truncated JSON": (truncated, "no sensible answer"),
    "wrong schema": (
        lambda r: (200, {}, message('{"templates": [{"number": "x"}]}')),
        "no sensible answer",
    ),
    "prose": (lambda r: (200, {}, message("Here you are: pump, open")), "no sensible answer"),
    "no content": (lambda r: (200, {}, message("", content=[])), "no sensible answer"),
    "HTML": (
        lambda r: (200, {"content-type": "text/html"}, "<html>login</html>"),
        "no sensible answer",
    ),
    "names of pages": (
        lambda r: (
            200,
            {},
            message(json.dumps({"templates": [row | {"entity": "x" * 500} for row in rows(r)]})),
        ),
        "no sensible answer",
    ),
    "control characters": (
        lambda r: (
            200,
            {},
            message(json.dumps({"templates": [row | {"action": "a\u001b[1m"} for row in rows(r)]})),
        ),
        "no sensible answer",
    ),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_leaves_the_offline_answers_marked(
    server: StandIn, claude: Make, tmp_path: Path, failure: str
) -> None:
    server.reply, reason = FAILURES[failure]
    said: list[str] = []
    leaves = claude(warn=said.append)(TEMPLATES)
    offline = extract(TEMPLATES)
    assert [(leaf.entity, leaf.action, leaf.status) for leaf in leaves] == [
        (leaf.entity, leaf.action, leaf.status) for leaf in offline
    ]
    assert {leaf.source for leaf in leaves} == {f"offline (claude failed: {reason})"}
    assert len(said) == 1
    assert f"3 templates (3 {reason})" in said[0]
    server.reply = good
    assert {leaf.source for leaf in claude()(TEMPLATES)} == {"claude"}, (
        "a failure is not kept as an answer"
    )


def test_a_slow_answer_is_a_timeout(server: StandIn, claude: Make) -> None:
    def slow(request: dict[str, Any]) -> Reply:
        server.stop.wait(10)
        return good(request)

    server.reply = slow
    leaves = claude(timeout_s=0.2)(TEMPLATES)
    assert {leaf.source for leaf in leaves} == {"offline (claude failed: timeout)"}


def test_nobody_there(claude: Make) -> None:
    leaves = claude(base_url="http://127.0.0.1:9")(TEMPLATES)
    assert {leaf.source for leaf in leaves} == {"offline (claude failed: no connection)"}


def test_a_busy_server_is_asked_again(server: StandIn, claude: Make) -> None:
    replies = iter([FAILURES["429"][0], FAILURES["529"][0]])
    server.reply = lambda request: next(replies, good)(request)
    assert {leaf.source for leaf in claude(retries=2)(TEMPLATES)} == {"claude"}


def test_a_template_left_out_keeps_its_offline_answer(server: StandIn, claude: Make) -> None:
    def forgetful(request: dict[str, Any]) -> Reply:
        told = [row for row in rows(request) if row["number"] != 1]
        return (
            200,
            {},
            message(
                json.dumps(
                    {"templates": [*told, {**told[0], "number": 99}, {**told[0], "number": -1}]}
                )
            ),
        )

    server.reply = forgetful
    sources = [leaf.source for leaf in claude()(TEMPLATES)]
    assert sources == ["claude", "offline (claude failed: no sensible answer)", "claude"]


MANY = [
    f"step {chr(97 + i // 26)}{chr(97 + i % 26)} done <num>" for i in range(3 * PER_REQUEST + 1)
]


def test_several_templates_to_a_request_and_progress(server: StandIn, claude: Make) -> None:
    seen: list[tuple[int, int]] = []
    leaves = claude(on_progress=lambda done, total: seen.append((done, total)))(MANY)
    assert [leaf.template for leaf in leaves] == MANY
    assert (len(server.requests), seen[-1]) == (4, (4, 4))


def test_one_bad_request_spoils_no_other(server: StandIn, claude: Make) -> None:
    server.reply = lambda request: (
        FAILURES["529"][0] if MANY[0] in server.asked()[-PER_REQUEST:] else good
    )(request)
    leaves = claude()(MANY)
    assert [leaf.source == "claude" for leaf in leaves] == [False] * PER_REQUEST + [True] * (
        len(MANY) - PER_REQUEST
    )


@pytest.mark.parametrize(("failure", "requests"), [("key", 1), ("529", 2)])
def test_it_gives_up_where_asking_on_is_no_use(
    server: StandIn, claude: Make, failure: str, requests: int
) -> None:
    server.reply = FAILURES[failure][0]
    assert {leaf.source for leaf in claude()(MANY)} == {
        f"offline (claude failed: {FAILURES[failure][1]})"
    }
    assert len(server.requests) == requests


def test_the_command_asks_only_when_told_to(
    server: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log, work, cache = tmp_path / "a.log", tmp_path / "work", tmp_path / "cache.jsonl"
    secret = "private-value-7"
    log.write_text(
        "".join(f"pump {w} job={i} {secret}{i}\n" for i in range(9) for w in ("on", "off")),
        encoding="utf-8",
    )
    base = [
        "hierarchy",
        "--work",
        str(work),
        "--input",
        str(log),
        "--session-key",
        "/job=([0-9]+)/",
    ]
    assert main(base) == 0
    assert not server.requests
    assert (
        main([*base, "--llm", "claude", "--llm-base-url", server.url, "--llm-cache", str(cache)])
        == 0
    )
    assert "claude named the steps of 2 templates" in capsys.readouterr().out
    assert {
        row["source"] for row in csv.DictReader((work / "hierarchy.csv").open(encoding="utf-8"))
    } == {"claude"}
    assert len(server.asked()) == 2
    assert secret + "1" not in json.dumps(server.requests), "templates only"
    (work / "hierarchy.csv").unlink()
    assert main(["hierarchy", "--work", str(work)]) == 0
    assert len(server.asked()) == 2


def test_a_gateway_in_the_clear_is_refused_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work, missing = tmp_path / "work", tmp_path / "missing.log"
    told = ["--llm", "claude", "--llm-base-url", "http://gateway.example"]
    assert (
        main(
            [
                "fit",
                "--work",
                str(work),
                "--input",
                str(missing),
                "--output",
                str(tmp_path / "b"),
                *told,
            ]
        )
        == 1
    )
    assert "--llm-base-url http://gateway.example" in capsys.readouterr().err


# -- batches


def test_many_templates_go_as_one_batch(server: StandIn, claude: Make) -> None:
    server.polls_until_ended = 3
    leaves = claude(batch_from=len(MANY))(MANY)
    assert {leaf.source for leaf in leaves} == {"claude"}
    assert len(server.batch) == 4
    assert server.asked() == MANY
    assert all(
        re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", request["custom_id"]) for request in server.batch
    )


def test_a_batch_may_fail_in_part(server: StandIn, claude: Make) -> None:
    server.reply = lambda request: (FAILURES["529"][0] if MANY[0] in json.dumps(request) else good)(
        request
    )
    leaves = claude(batch_from=1)(MANY)
    assert leaves[0].source == "offline (claude failed: errored)"
    assert {leaf.source for leaf in leaves[PER_REQUEST:]} == {"claude"}


def test_a_batch_that_never_ends_is_a_timeout(server: StandIn, claude: Make) -> None:
    server.polls_until_ended = 10**6
    leaves = claude(batch_from=1, batch_wait_s=0.05)(TEMPLATES)
    assert {leaf.source for leaf in leaves} == {"offline (claude failed: timeout)"}


def test_several_requests_are_under_way_and_abandoned_ones_are_cancelled(
    server: StandIn, claude: Make
) -> None:
    many = [f"pump {n} of <num> started" for n in range(8 * PER_REQUEST)]
    began = threading.Barrier(3)

    def together(request: dict[str, Any]) -> Reply:
        began.wait(30)  # all three, or none of them goes on
        return 401, {}, {"type": "error", "error": {"type": "authentication_error", "message": ""}}

    server.reply = together
    leaves = claude(concurrency=3, batch_from=10**6)(many)
    assert all(leaf.source.startswith("offline") for leaf in leaves)
    assert len(server.asked()) <= 3 * PER_REQUEST  # the other five requests were never sent


def test_a_proxy_never_sees_the_key_of_a_gateway_on_this_machine(
    server: StandIn, claude: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    with listening() as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        assert {leaf.source for leaf in claude()(TEMPLATES)} == {"claude"}
        assert not proxy.asked()
