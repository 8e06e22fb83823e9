"""From parameters to doors: the Forward server that `serve` opens, the sink that its alerts leave by, and who explains.

What is wrong with a parameter is told here, as a ConfigError, before anything listens: `check-config` builds the same
and throws it away.
"""

from __future__ import annotations

import logging
import os
import ssl
import stat
import sys
from importlib.util import find_spec
from pathlib import Path

from ..config import Config, is_loopback, is_private
from ..errors import ConfigError
from ..explain import Explainer
from ..explain.budget import Budget
from ..explain.desk import Desk
from ..explain.knowledge import Knowledge
from ..explain.redact import redactor
from ..sink import Sink
from ..sink.forward import ForwardSink
from ..sink.stdout import StdoutSink
from ..transport.server import ForwardServer

_log = logging.getLogger(__name__)
_KNOWLEDGE_WAIT_S = 0.05  # for a command that writes; the event loop waits, and what is not written is written later


def forward_server(config: Config) -> ForwardServer:
    """The server that `serve` listens with; it does not listen yet."""
    shared_key = _shared_key(config, "shared_key")
    ssl_context = _server_tls(config)
    if config.users_file is not None and shared_key is None:
        raise ConfigError(
            "users_file needs a shared_key: the Forward protocol asks for users along with the key"
        )
    if not (
        config.unix_path
        or shared_key
        or ssl_context
        or config.allow_insecure_bind
        or is_loopback(config.bind)
    ):
        raise ConfigError(
            f"bind {config.bind}: anyone who reaches it could send records; "
            "set tls_cert_path or shared_key_file, or allow_insecure_bind true"
        )
    return ForwardServer(
        config.bind,
        config.port,
        path=config.unix_path,
        path_mode=config.unix_perm,
        shared_key=shared_key,
        users=read_users("users_file", config.users_file)
        if config.users_file is not None
        else None,
        ssl_context=ssl_context,
        max_connections=config.max_connections,
        max_frame_bytes=config.max_frame_size,
        max_inflated_bytes=config.max_inflated_size,
        max_pending_bytes=config.max_pending_size,
    )


def alert_sink(config: Config) -> Sink:
    """Where alerts of `serve` go: to a Forward receiver, or to standard output."""
    ssl_context = _client_tls(config)
    shared_key = _shared_key(config, "alert_shared_key")
    if config.alert_host is None:
        return StdoutSink(sys.stdout)
    if (
        not config.unix_path
        and config.bind in (config.alert_host, "0.0.0.0")
        and config.alert_port == config.port
    ):
        raise ConfigError(
            f"alert_port {config.alert_port} is our own port: alerts would come back in; give the receiver's"
        )
    username, password = _alert_user(config, shared_key)
    return ForwardSink(
        config.alert_host,
        config.alert_port,
        shared_key=shared_key,
        username=username,
        password=password,
        ssl_context=ssl_context,
    )


def read_users(name: str, path: str) -> dict[str, str]:
    """Users and their passwords out of a file of `user:password` lines; empty lines and `#` comments are passed over.

    No message holds a part of the file.
    """
    users: dict[str, str] = {}
    for number, line in enumerate(_secret_file(name, path).splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        user, colon, password = line.partition(":")
        if not (user and colon and password):
            raise ConfigError(f"{name} {path}, line {number}: write user:password")
        if user in users:
            raise ConfigError(f"{name} {path}, line {number}: this user was named before")
        users[user] = password
    if not users:
        raise ConfigError(f"{name} {path} names no user: write user:password lines")
    return users


def _alert_user(config: Config, shared_key: str | None) -> tuple[str, str]:
    if config.alert_user_file is None:
        return "", ""
    if shared_key is None:
        raise ConfigError(
            "alert_user_file needs an alert_shared_key: the receiver asks for users along with the key"
        )
    users = read_users("alert_user_file", config.alert_user_file)
    if len(users) > 1:
        raise ConfigError(
            f"alert_user_file {config.alert_user_file} names {len(users)} users: keep one"
        )
    return next(iter(users.items()))


def explanation_desk(config: Config) -> Desk:
    """Where alerts get their explanations. Nothing leaves the machine for it but with `explain claude`."""
    check_explainer(config)
    explainer = _explainer(config)
    knowledge = Knowledge(config.knowledge_path, busy_s=_KNOWLEDGE_WAIT_S)
    limits = (config.explain_tokens_per_hour, config.explain_tokens_per_day)
    return Desk(
        knowledge,
        explainer,
        Budget(knowledge, *limits, config.explain_usd_per_hour, config.explain_usd_per_day),
        timeout_s=config.explain_timeout,
        concurrency=config.explain_concurrency,
        max_waiting=config.explain_queue,
    )


def check_explainer(config: Config) -> None:
    """Raise ConfigError for what `explanation_desk` would refuse, without a file being made."""
    redactor(config.explain_redact or ())
    if config.explain == "evidence":
        return
    _api_key(config)
    if not is_private(config.explain_base_url):
        raise ConfigError(
            f"explain_base_url {config.explain_base_url}: the key goes there, so it must be https://…"
        )
    if find_spec("anthropic") is None:
        raise ConfigError("explain claude needs the package anthropic: pip install anthropic")


def _explainer(config: Config) -> Explainer | None:
    if config.explain == "evidence" or config.ledger_path is None:
        return None
    from ..explain.claude import (
        ClaudeExplainer,
    )  # and with it anthropic, which takes memory and time
    from ..explain.ledger import Ledger

    return ClaudeExplainer(
        api_key=_api_key(config),
        model=config.explain_model,
        base_url=config.explain_base_url,
        timeout_s=config.explain_timeout,
        input_price=config.explain_input_price,
        output_price=config.explain_output_price,
        redact=redactor(config.explain_redact or ()),
        ledger=Ledger(config.ledger_path),
    )


def _api_key(config: Config) -> str:
    if (path := config.explain_api_key_file) is not None:
        key = _secret_file("explain_api_key_file", path).strip()
    else:
        key = os.environ.get("ANTHROPIC_API_KEY", "").strip()
    if not key:
        raise ConfigError(
            "explain claude needs a key: set explain_api_key_file, or ANTHROPIC_API_KEY"
        )
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise ConfigError(
            "the API key holds characters that no key has: look at its file or variable"
        )
    return key


def _shared_key(config: Config, name: str) -> str | None:
    key: str | None = getattr(config, name)
    path: str | None = getattr(config, f"{name}_file")
    if path is None:
        return key or None
    if key:
        raise ConfigError(f"{name} and {name}_file exclude each other: keep one")
    key = _secret_file(f"{name}_file", path).strip("\r\n")
    if not key or "\n" in key:
        raise ConfigError(f"{name}_file {path} must hold the key on one line")
    return key


def _secret_file(name: str, path: str) -> str:
    """The text of a file that only its owner should read.

    Who may write it may let himself in: that is refused. That others may read it is only told, for so are the secrets
    that Kubernetes and Docker mount, in containers where there are no others.
    """
    try:
        mode = Path(path).stat().st_mode
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name} {path}: {_reason(error)}") from None
    if mode & stat.S_IWOTH:
        raise ConfigError(f"{name} {path} can be written by anyone: chmod 600 it")
    if mode & stat.S_IROTH:
        _log.warning(
            "secrets can be read by others, chmod 600 the file parameter=%s path=%s", name, path
        )
    return text


def _reason(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


# --- TLS ------------------------------------------------------------------------------------------------------------


def _server_tls(config: Config) -> ssl.SSLContext | None:
    if config.tls_cert_path is None:
        _needs(config, "tls_cert_path", "tls_private_key_path", "tls_client_ca_path")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load_pair(context, config, "tls_cert_path", "tls_private_key_path")
    if config.tls_client_ca_path is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        _load_authorities(context, "tls_client_ca_path", config.tls_client_ca_path)
    return context


def _client_tls(config: Config) -> ssl.SSLContext | None:
    if not config.alert_tls:
        _needs(
            config,
            "alert_tls",
            "alert_tls_ca_path",
            "alert_tls_cert_path",
            "alert_tls_private_key_path",
        )
        return None
    context = (
        ssl.create_default_context() if config.alert_tls_ca_path is None else _bare_client_context()
    )
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if config.alert_tls_ca_path is not None:
        _load_authorities(context, "alert_tls_ca_path", config.alert_tls_ca_path)
    if config.alert_tls_cert_path is not None:
        _load_pair(context, config, "alert_tls_cert_path", "alert_tls_private_key_path")
    else:
        _needs(config, "alert_tls_cert_path", "alert_tls_private_key_path")
    return context


def _bare_client_context() -> ssl.SSLContext:
    return ssl.SSLContext(
        ssl.PROTOCOL_TLS_CLIENT
    )  # checks certificate and host name, and trusts nobody yet


def _needs(config: Config, needed: str, *names: str) -> None:
    for name in names:
        if getattr(config, name) is not None:
            raise ConfigError(f"{name} has no effect without {needed}: set it")


def _load_pair(context: ssl.SSLContext, config: Config, cert_name: str, key_name: str) -> None:
    cert, key = getattr(config, cert_name), getattr(config, key_name)
    if key is None:
        raise ConfigError(f"{cert_name} needs {key_name}")
    _secret_file(key_name, key)
    _read(cert_name, cert)

    def refuse_passphrase() -> str:  # OpenSSL would ask on the terminal
        raise ConfigError(
            f"{key_name} {key} is encrypted: give it without a passphrase, readable by us alone"
        )

    try:
        context.load_cert_chain(cert, key, refuse_passphrase)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError(f"{key_name} {key} does not belong to {cert_name} {cert}") from None
        raise ConfigError(
            f"{cert_name} {cert} and {key_name} {key}: no certificate and key in PEM ({error})"
        ) from None


def _load_authorities(context: ssl.SSLContext, name: str, path: str) -> None:
    _read(name, path)
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        raise ConfigError(
            f"{name} {path}: no certificates in PEM ({error.reason or error})"
        ) from None


def _read(name: str, path: str) -> None:
    try:
        Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"{name} {path}: {_reason(error)}") from None
