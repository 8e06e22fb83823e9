"""A model as explainer, by the Chat Completions API: the official client, which is an extra."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chat_api as chat
import messages_api as api
import pytest
from messages_api import CASE, KEY, Behaviour, MessagesAPI

from fluent_krone.explain import Answer, NoAnswer
from fluent_krone.explain.adapters.chat import ChatAdapter
from fluent_krone.explain.ledger import Ledger, verify
from fluent_krone.explain.model import ModelExplainer
from fluent_krone.explain.redact import redactor

pytest.importorskip("openai", reason="the extra `openai` is not installed")

MODEL = "qwen2.5:1.5b"


@pytest.fixture
def server() -> Iterator[MessagesAPI]:
    with MessagesAPI() as stand_in:
        stand_in.behave(chat.good)
        yield stand_in


def explainer(server: MessagesAPI, ledger: Path, **options: Any) -> ModelExplainer:
    given: dict[str, Any] = {"base_url": server.url, "api_key": KEY, "timeout_s": 20.0} | options
    return ModelExplainer(
        ChatAdapter(model=MODEL, **given),
        model=MODEL,
        timeout_s=given["timeout_s"],
        prices=(0.0, 0.0),
        redact=redactor(),
        ledger=Ledger(ledger),
        secret=KEY,
    )


def ask(server: MessagesAPI, ledger: Path, times: int = 1, **options: Any) -> list[Answer]:
    async def one() -> list[Answer]:
        model = explainer(server, ledger, **options)
        try:
            return [await model.explain(CASE) for _ in range(times)]
        finally:
            await model.close()

    return asyncio.run(one())


def failure(server: MessagesAPI, ledger: Path, **options: Any) -> NoAnswer:
    with pytest.raises(NoAnswer) as failed:
        ask(server, ledger, **options)
    return failed.value


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger.jsonl"


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
def test_a_good_answer(server: MessagesAPI, ledger: Path, suffix: str) -> None:
    (answer,) = ask(server, ledger, base_url=server.url + suffix)
    assert (answer.verdict, answer.steps, answer.model) == ("abnormal", (2,), MODEL)
    assert (answer.input_tokens, answer.output_tokens, answer.cost_usd) == (1200, 300, 0.0)
    (sent,) = server.requests
    assert sent.path == "/v1/chat/completions"
    assert sent.headers["authorization"] == f"Bearer {KEY}"
    form = sent.body["response_format"]["json_schema"]["schema"]
    assert form["properties"]["steps"]["items"]["enum"] == [1, 2]
    assert verify(ledger).tokens == 1500


def test_a_key_is_not_needed(server: MessagesAPI, ledger: Path) -> None:
    assert ask(server, ledger, api_key=None)[0].verdict == "abnormal"


def test_without_structured_output_it_is_asked_once_more_and_that_is_remembered(
    server: MessagesAPI, ledger: Path
) -> None:
    server.behave(chat.without_structure)
    assert [answer.steps for answer in ask(server, ledger, times=2)] == [(2,), (2,)]
    assert ["response_format" in sent.body for sent in server.requests] == [True, False, False]


FAILURES: dict[str, tuple[Behaviour, str]] = {
    "cut off": (lambda _: chat.completion("{", finish_reason="length"), "cut_off"),
    "filtered": (lambda _: chat.completion("", finish_reason="content_filter"), "refusal"),
    "refused": (lambda _: chat.completion(None, message={"refusal": "no"}), "refusal"),
    "no text": (lambda _: chat.completion(None), "senseless"),
    "no choice": (lambda _: api.as_json(200, {"choices": []}), "senseless"),
    "a page": (api.page, "senseless"),
    "a step outside": (chat.says(steps=[0]), "senseless"),
    "429": (api.overloaded(429, "7"), "overloaded"),
    "401": (api.error(401), "refused"),
    "500": (api.error(500), "service_error"),
    "broken off": (api.broken, "no_connection"),
    "slow": (api.slow(60), "timeout"),
}


@pytest.mark.parametrize(("behaviour", "reason"), FAILURES.values(), ids=FAILURES)
def test_a_failure_is_told_as_such(
    server: MessagesAPI, ledger: Path, behaviour: Behaviour, reason: str
) -> None:
    server.behave(behaviour)
    patience = 0.5 if reason == "timeout" else 20.0
    assert failure(server, ledger, timeout_s=patience).reason == reason


def test_a_proxy_never_sees_a_question_to_this_machine(
    server: MessagesAPI, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with MessagesAPI() as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        ask(server, ledger)
        assert not proxy.requests
