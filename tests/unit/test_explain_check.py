"""`fluent-krone explain check`, and what is refused before a model is asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import messages_api as api
import pytest
from messages_api import Behaviour, MessagesAPI

from fluent_krone.cli import main
from fluent_krone.config import Config, is_local, may_use_proxy
from fluent_krone.errors import ConfigError
from fluent_krone.runtime.wiring import check_explainer, prices_of


@pytest.fixture
def server() -> Iterator[MessagesAPI]:
    with MessagesAPI() as stand_in:
        yield stand_in


def check(url: str, tmp_path: Path, *flags: str) -> int:
    asked = ["--explain=model", f"--explain-base-url={url}", "--explain-model=tiny"]
    return main(["explain", "check", *asked, f"--ledger={tmp_path / 'ledger'}", *flags])


def test_each_stage_is_shown(
    server: MessagesAPI, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(server.url, tmp_path) == 0
    out = capsys.readouterr().out
    for stage in ("parameters", "address", "connection", "question", "form", "answer", "verdict"):
        assert f"\n{stage} " in f"\n{out}"
    assert "no proxy is used" in out
    assert out.endswith("ok: the model can explain alerts\n")
    assert not (tmp_path / "ledger").exists()
    assert "blk_" not in server.requests[0].raw.decode()


FAILURES: dict[str, tuple[Behaviour, str]] = {
    "a wrong key": (api.error(401), "refused, HTTP status 401, message: 'refused: "),
    "a wrong model": (api.error(404), "check explain_base_url and explain_model"),
    "prose": (
        api.text("Hello"),
        "there is no JSON object with a verdict in it; it begins: 'Hello'",
    ),
    "a step outside": (api.says(steps=[0]), "it names no step of the Seq"),
    "cut off": (api.cut_off, "no answer: cut_off"),
}


@pytest.mark.parametrize(("behaviour", "told"), FAILURES.values(), ids=FAILURES)
def test_what_is_wrong_is_told_in_one_line(
    server: MessagesAPI,
    tmp_path: Path,
    behaviour: Behaviour,
    told: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    server.behave(behaviour)
    assert check(server.url, tmp_path) == 1
    errors = capsys.readouterr().err
    assert told in errors and errors.count("\n") == 1


def test_a_service_without_structured_output_is_named(
    server: MessagesAPI, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.behave(api.error(400), api.good)
    assert check(server.url, tmp_path) == 0
    assert "no structured output: the service does not know it" in capsys.readouterr().out


def test_an_address_where_nobody_listens_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with MessagesAPI() as gone:
        url = gone.url
    assert check(url, tmp_path) == 1
    assert f"explain_base_url {url} cannot be reached: " in capsys.readouterr().err
    flags = ["--explain=model", f"--explain-base-url={url}", "--explain-model=tiny"]
    ledger = f"--ledger={tmp_path / 'ledger'}"
    assert main(["check-config", "--bundle=demo", *flags, ledger]) == 0
    assert "cannot be reached" in capsys.readouterr().err


def test_without_a_model_there_is_nothing_to_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "check"]) == 1
    assert "no model is asked" in capsys.readouterr().err


def config(**fields: Any) -> Config:
    model = {"explain": "model", "explain_model": "tiny", "ledger": "ledger"}
    return Config(**model | {"explain_base_url": "http://127.0.0.1:8080"} | fields)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"explain_model": " "}, "explain_model must name a model"),
        ({"explain_base_url": "https://api.anthropic.com"}, "explain model needs explain_base_url"),
        ({"explain_model": "claude-haiku-5-5"}, "explain model needs explain_model"),
        ({"explain_base_url": "http://ollama:11434"}, "or set explain_allow_insecure"),
        ({"explain_base_url": "ollama"}, "is not an address"),
        ({"explain_base_url": "https://llm.example.com"}, "needs a key"),
    ],
)
def test_what_is_refused(
    fields: dict[str, Any], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    if "needs a key" not in told:
        monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    with pytest.raises(ConfigError, match=told):
        check_explainer(config(**fields))


def test_what_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    check_explainer(config())
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    check_explainer(config(explain_base_url="http://ollama:11434", explain_allow_insecure=True))


@pytest.mark.parametrize(
    ("fields", "prices"),
    [
        ({}, (0.0, 0.0)),
        ({"explain_input_price": 1.0, "explain_output_price": 2.0}, (1.0, 2.0)),
        ({"explain_base_url": "https://llm.example.com"}, None),
        ({"explain": "claude", "explain_model": "claude-haiku-5-5",
          "explain_base_url": "https://api.anthropic.com"}, (0.1, 0.5)),
        ({"explain": "claude", "explain_model": "claude-opus-9",
          "explain_base_url": "https://api.anthropic.com"}, None),
    ],
)  # fmt: skip
def test_prices(fields: dict[str, Any], prices: tuple[float, float] | None) -> None:
    assert prices_of(config(**fields)) == prices


@pytest.mark.parametrize(
    ("url", "may", "local"),
    [
        ("https://api.anthropic.com", True, False),
        ("https://llm.example.com:8443/v1", True, False),
        ("http://llm.example.com", False, False),
        ("http://127.0.0.1:11434", False, True),
        ("https://localhost:8443", False, True),
        ("https://[::1]:8443", False, True),
        ("https://10.0.0.7", False, False),
        ("https://192.168.1.7:8443", False, False),
        ("https://ollama:11434", False, False),
        ("https://llm.internal", False, False),
        ("https://llm.prod.svc", False, False),
        ("ollama", False, False),
    ],
)
def test_a_proxy_carries_questions_to_public_places_only(url: str, may: bool, local: bool) -> None:
    assert (may_use_proxy(url), is_local(url)) == (may, local)
