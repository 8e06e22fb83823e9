"""Who may use the live page, request by request, over a real connection."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fluent_krone.config import Config
from fluent_krone.console.access import Access, console_token
from fluent_krone.errors import ConfigError
from fluent_krone.runtime.http import Request

TOKEN = "a token of the test"
OWN = {"host": "krone:24231", "origin": "http://krone:24231"}


def request(method: str = "GET", body: bytes = b"", **headers: str) -> Request:
    return Request(method, "/console/overview", headers=headers, body=body)


def logged_in(access: Access, **headers: str) -> dict[str, str]:
    """The headers of a browser that has shown the token."""
    body = json.dumps({"token": TOKEN}).encode()
    answer = access.log_in(request("POST", body, **OWN))
    assert answer.status == 200
    cookie = dict(answer.headers)["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; ")[1:])
    return {"cookie": f"other=1; {cookie.split(';')[0]}", **headers}


def test_the_cookie_lets_in_and_does_not_hold_the_token() -> None:
    access = Access(TOKEN, 24231)
    browser = logged_in(access)
    assert TOKEN not in browser["cookie"]
    assert access.refusal(request(**browser)) is None
    assert access.refusal(request("POST", **browser, **OWN)) is None
    assert not access.refused


@pytest.mark.parametrize(
    ("headers", "reason", "status"),
    [
        ({}, "cookie", 401),
        ({"cookie": "krone_24231=wrong"}, "cookie", 401),
        ({"cookie": "krone_24231=w\u00fcrong; ;;=\\"}, "cookie", 401),
        ({"authorization": "Bearer wrong"}, "token", 401),
        ({"authorization": "bearer \u00ff"}, "token", 401),
    ],
)
def test_others_are_refused_and_counted(headers: dict[str, str], reason: str, status: int) -> None:
    access = Access(TOKEN, 24231)
    answer = access.refusal(request(**headers))
    assert answer is not None and answer.status == status
    assert access.refused == {reason: 1}


def test_a_program_shows_the_token_itself() -> None:
    access = Access(TOKEN, 24231)
    assert access.refusal(request("POST", authorization=f"Bearer {TOKEN}")) is None


@pytest.mark.parametrize(
    "origin",
    [
        {},
        {"host": "krone:24231"},
        {"host": "krone:24231", "origin": "null"},
        {"host": "krone:24231", "origin": "http://evil"},
        {"host": "krone:24231", "origin": "http://krone:80"},
    ],
)
def test_a_page_of_another_origin_changes_nothing(origin: dict[str, str]) -> None:
    access = Access(TOKEN, 24231)
    browser = logged_in(access, **origin)
    answer = access.refusal(request("POST", **browser))
    assert answer is not None and answer.status == 403
    body = json.dumps({"token": TOKEN}).encode()
    assert access.log_in(request("POST", body, **origin)).status == 403
    assert access.refused == {"origin": 2}


@pytest.mark.parametrize(
    "body", [b"", b"7", b"{}", b'{"token": 7}', b'{"token": "wrong"}', b"\xff"]
)
def test_a_wrong_token_gives_no_cookie(body: bytes) -> None:
    access = Access(TOKEN, 24231)
    answer = access.log_in(request("POST", body, **OWN))
    assert answer.status == 401 and not answer.headers
    assert access.refused == {"token": 1}


def test_a_token_is_drawn_by_lot_or_read(tmp_path: Path) -> None:
    assert console_token(Config()) != console_token(Config())
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    path.chmod(0o600)
    assert console_token(Config(console_token_file=str(path))) == TOKEN


@pytest.mark.parametrize(
    "text", ["", "too short", "two lines of the\nsame token", "t\u00f6ken" * 9]
)
def test_a_token_file_that_is_no_use(tmp_path: Path, text: str) -> None:
    path = tmp_path / "token"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="console_token_file"):
        console_token(Config(console_token_file=str(path)))
