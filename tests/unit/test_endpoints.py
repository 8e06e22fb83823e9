"""What parameters make of the endpoints of `serve`, and what is said before anything listens."""

from __future__ import annotations

import asyncio
import logging
import socket
import stat
from pathlib import Path
from typing import Any

import pytest
from certificates import Certificates

from fluent_krone.cli import main
from fluent_krone.config import Config, from_strings
from fluent_krone.errors import ConfigError
from fluent_krone.runtime.endpoints import alert_sink, forward_server
from fluent_krone.runtime.secrets import read_users
from fluent_krone.runtime.wiring import check_explainer
from fluent_krone.sink.forward import ForwardSink
from fluent_krone.sink.stdout import StdoutSink
from fluent_krone.transport.forward import Chunk


def file(path: Path, text: str, mode: int = 0o600) -> str:
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return str(path)


def tls(certificates: Certificates, cert: str = "server", key: str = "server") -> dict[str, Any]:
    return {
        "tls_cert_path": str(certificates.cert(cert)),
        "tls_private_key_path": str(certificates.key(key)),
    }


@pytest.mark.parametrize("bind", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_needs_no_guard(bind: str) -> None:
    forward_server(Config(bind=bind))


@pytest.mark.parametrize("bind", ["0.0.0.0", "::", "10.0.0.1", "log.example.com", ""])
def test_beyond_loopback_a_guard_is_needed(
    bind: str, tmp_path: Path, certificates: Certificates
) -> None:
    with pytest.raises(
        ConfigError,
        match=r"^bind .*: anyone who reaches it could send records; set tls_cert_path or",
    ):
        forward_server(Config(bind=bind))
    key = file(tmp_path / "key", "secret\n")
    for guard in (
        {"shared_key": "secret"},
        {"shared_key_file": key},
        {"allow_insecure_bind": True},
        {"unix_path": "/run/krone.sock"},
        tls(certificates),
    ):
        forward_server(Config(bind=bind, **guard))


def test_an_empty_key_is_no_guard() -> None:
    with pytest.raises(ConfigError, match="anyone who reaches it"):
        forward_server(Config(bind="0.0.0.0", shared_key=""))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [("", "must hold the key on one line"), ("a\nb\n", "must hold the key on one line")],
)
def test_a_key_file_holds_one_key(content: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=complaint):
        forward_server(Config(shared_key_file=file(tmp_path / "key", content)))


def test_a_key_comes_from_one_place(tmp_path: Path) -> None:
    key = file(tmp_path / "key", "secret\n")
    with pytest.raises(ConfigError, match="shared_key and shared_key_file exclude each other"):
        forward_server(Config(shared_key="other", shared_key_file=key))


@pytest.mark.parametrize("name", ["shared_key_file", "users_file"])
def test_a_missing_file_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"^{name} .*/none: No such file or directory$"):
        forward_server(
            Config(
                **{
                    "shared_key": "k" if name == "users_file" else None,
                    name: str(tmp_path / "none"),
                }
            )
        )


def test_a_secret_that_anyone_may_write_is_refused_and_one_that_anyone_may_read_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "key"
    forward_server(Config(shared_key_file=file(path, "secret", 0o640)))
    assert not caplog.records
    forward_server(Config(shared_key_file=file(path, "secret", 0o644)))
    [told] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert (
        "secrets can be read by others" in told.getMessage() and "secret " not in told.getMessage()
    )
    with pytest.raises(ConfigError, match="can be written by anyone: chmod 600 it"):
        forward_server(Config(shared_key_file=file(path, "secret", 0o602)))


def test_users(tmp_path: Path) -> None:
    path = file(tmp_path / "users", "# who may send\nann:pass:word\n\nbob:ü\n")
    assert read_users("users_file", path) == {"ann": "pass:word", "bob": "ü"}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("ann:x\nsecret\n", "line 2: write user:password"),
        ("ann:\n", "line 1: write user:password"),
        (":secret\n", "line 1: write user:password"),
        ("ann:secret\nann:secret\n", "line 2: this user was named before"),
        ("# nobody\n", "names no user"),
    ],
)
def test_users_that_are_none(content: str, complaint: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=complaint) as refusal:
        forward_server(Config(shared_key="k", users_file=file(tmp_path / "users", content)))
    assert "secret" not in str(refusal.value)


def test_users_need_a_key(tmp_path: Path) -> None:
    users = file(tmp_path / "users", "ann:x\n")
    with pytest.raises(ConfigError, match="users_file needs a shared_key"):
        forward_server(Config(users_file=users))
    with pytest.raises(ConfigError, match="alert_user_file needs an alert_shared_key"):
        alert_sink(Config(alert_host="localhost", alert_port=1, alert_user_file=users))
    two = file(tmp_path / "two", "ann:x\nbob:x\n")
    with pytest.raises(ConfigError, match="names 2 users: keep one"):
        alert_sink(
            Config(alert_host="localhost", alert_port=1, alert_shared_key="k", alert_user_file=two)
        )


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"tls_private_key_path": "x"}, "tls_private_key_path has no effect without tls_cert_path"),
        ({"tls_client_ca_path": "x"}, "tls_client_ca_path has no effect without tls_cert_path"),
        ({"tls_cert_path": "server.pem"}, "tls_cert_path needs tls_private_key_path"),
        (
            {"tls_cert_path": "none", "tls_private_key_path": "server.key"},
            "tls_cert_path .*none: No such file",
        ),
        (
            {"tls_cert_path": "server.pem", "tls_private_key_path": "none"},
            "tls_private_key_path .*none: No such file",
        ),
        (
            {"tls_cert_path": "server.pem", "tls_private_key_path": "client.key"},
            "does not belong to tls_cert_path",
        ),
        (
            {"tls_cert_path": "server.pem", "tls_private_key_path": "locked.key"},
            "locked.key is encrypted",
        ),
        (
            {"tls_cert_path": "server.key", "tls_private_key_path": "server.key"},
            "no certificate and key in PEM",
        ),
        (
            {
                "tls_cert_path": "server.pem",
                "tls_private_key_path": "server.key",
                "tls_client_ca_path": "server.key",
            },
            "tls_client_ca_path .* holds no certificates in PEM",
        ),
    ],
)
def test_what_is_wrong_with_tls_is_told(
    settings: dict[str, str],
    complaint: str,
    certificates: Certificates,
    capsys: pytest.CaptureFixture[str],
) -> None:
    paths = {name: str(certificates.directory / value) for name, value in settings.items()}
    with pytest.raises(ConfigError, match=complaint):
        forward_server(Config(**paths))  # type: ignore[arg-type]
    assert main(["check-config", *(f"--{name}={path}" for name, path in paths.items())]) == 1
    told = capsys.readouterr().err
    assert told.startswith("fluent-krone: tls_") and told.count("\n") == 1


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (
            {"alert_tls_ca_path": "authority.pem"},
            "alert_tls_ca_path has no effect without alert_tls",
        ),
        (
            {"alert_tls": True, "alert_tls_private_key_path": "client.key"},
            "no effect without alert_tls_cert_path",
        ),
        (
            {"alert_tls": True, "alert_tls_ca_path": "none"},
            "alert_tls_ca_path .*none: No such file",
        ),
    ],
)
def test_what_is_wrong_with_tls_towards_the_receiver_is_told(
    settings: dict[str, Any], complaint: str, certificates: Certificates
) -> None:
    paths = {
        name: v if v is True else str(certificates.directory / v) for name, v in settings.items()
    }
    with pytest.raises(ConfigError, match=complaint):
        alert_sink(Config(alert_host="localhost", alert_port=1, **paths))


def test_alerts_go_where_they_are_told(certificates: Certificates) -> None:
    assert isinstance(alert_sink(Config()), StdoutSink)
    assert isinstance(alert_sink(Config(alert_host="10.0.0.1", alert_tls=True)), ForwardSink)
    with pytest.raises(ConfigError, match="alert_port 24224 is our own port"):
        alert_sink(Config(alert_host="127.0.0.1"))
    alert_sink(Config(alert_host="127.0.0.1", unix_path="/run/krone.sock"))


@pytest.mark.parametrize("text", ["660", "0o660", "432", "0999", "06600", ""])
def test_permissions_are_written_as_chmod_takes_them(text: str) -> None:
    with pytest.raises(ConfigError, match=r"unix_perm: .* is not a permission mode: write 0660"):
        from_strings({"unix_perm": text})
    assert from_strings({"unix_perm": "0660"}).unix_perm == 0o660


@pytest.mark.parametrize(
    ("key", "complaint"),
    [
        ("", "needs a key"),
        ("\n", "needs a key"),
        ("sk ünï", "no key has"),
        ("sk-1\nsk-2", "no key has"),
    ],
)
def test_a_key_that_can_be_none_is_told_without_it(
    key: str, complaint: str, tmp_path: Path
) -> None:
    config = Config(
        explain="claude",
        store=str(tmp_path / "s"),
        explain_api_key_file=file(tmp_path / "key", key),
    )
    with pytest.raises(ConfigError, match=complaint) as told:
        check_explainer(config)
    assert "sk" not in str(told.value)
    file(tmp_path / "key", "sk-1\n")
    check_explainer(config)


class Nobody:
    async def take(self, chunk: Chunk, ack: Any, sender: object = None) -> None: ...

    async def flush(self) -> None: ...


def test_a_unix_socket_has_its_permissions_and_replaces_a_dead_one(tmp_path: Path) -> None:
    path = tmp_path / "krone.sock"

    async def scenario() -> None:
        config = from_strings({"unix_path": str(path), "unix_perm": "0660"})
        first, second = forward_server(config), forward_server(config)
        await first.start(Nobody())
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        with pytest.raises(OSError, match=r"unix socket .*krone\.sock: Address already in use"):
            await second.start(Nobody())
        await first.close()
        assert not path.exists()
        with socket.socket(socket.AF_UNIX) as dead:  # it leaves its file behind
            dead.bind(str(path))
        assert path.exists()
        await second.start(Nobody())
        await second.close()
        path.write_text("something else")
        with pytest.raises(OSError, match="Address already in use"):
            await second.start(Nobody())
        assert path.read_text() == "something else"

    asyncio.run(scenario())
