"""From parameters to the endpoints of `serve`: the Forward server that records come in by, and the
sink that alerts leave by, with the TLS contexts of both.

Wrong parameters raise ConfigError here, before anything listens: `check-config` builds the same
endpoints and throws them away.
"""

from __future__ import annotations

import ssl
import sys
from pathlib import Path

from ..config import Config, is_loopback
from ..errors import ConfigError
from ..sink import Sink
from ..sink.forward import ForwardSink
from ..sink.stdout import StdoutSink
from ..transport.server import ForwardServer, ServerSettings
from .secrets import read_users, reason, secret_file, shared_key


def forward_server(config: Config) -> ForwardServer:
    """The server that `serve` listens with; it does not listen yet."""
    key = shared_key(config, "shared_key")
    tls = server_context(config)
    users = None
    if config.users_file is not None:
        if key is None:
            raise ConfigError(
                "users_file needs a shared_key: the Forward protocol asks for users along with "
                "the key"
            )
        users = read_users("users_file", config.users_file)
    is_guarded = config.unix_path or key or tls
    if not (is_guarded or config.allow_insecure_bind or is_loopback(config.bind)):
        raise ConfigError(
            f"bind {config.bind}: anyone who reaches it could send records; "
            "set tls_cert_path or shared_key_file, or allow_insecure_bind true"
        )
    return ForwardServer(
        ServerSettings(
            host=config.bind,
            port=config.port,
            path=config.unix_path,
            permissions=config.unix_perm,
            shared_key=key,
            users=users,
            ssl_context=tls,
            max_connections=config.max_connections,
            max_frame_bytes=config.max_frame_size,
            max_inflated_bytes=config.max_inflated_size,
            max_pending_bytes=config.max_pending_size,
        )
    )


def alert_sink(config: Config) -> Sink:
    """Where alerts of `serve` go: to a Forward receiver, or to standard output."""
    tls = client_context(config)
    key = shared_key(config, "alert_shared_key")
    if config.alert_host is None:
        return StdoutSink(sys.stdout)
    is_own_address = config.bind in (config.alert_host, "0.0.0.0")
    if not config.unix_path and is_own_address and config.alert_port == config.port:
        raise ConfigError(
            f"alert_port {config.alert_port} is our own port: alerts would come back in; "
            "set the receiver's port"
        )
    username, password = _alert_user(config, key)
    return ForwardSink(
        config.alert_host,
        config.alert_port,
        shared_key=key,
        username=username,
        password=password,
        ssl_context=tls,
    )


def _alert_user(config: Config, key: str | None) -> tuple[str, str]:
    """User and password towards the receiver; empty without `alert_user_file`."""
    if config.alert_user_file is None:
        return "", ""
    if key is None:
        raise ConfigError(
            "alert_user_file needs an alert_shared_key: the receiver asks for users along with "
            "the key"
        )
    users = read_users("alert_user_file", config.alert_user_file)
    if len(users) > 1:
        raise ConfigError(
            f"alert_user_file {config.alert_user_file} names {len(users)} users: keep one"
        )
    return next(iter(users.items()))


def server_context(config: Config) -> ssl.SSLContext | None:
    """What clients meet; None without `tls_cert_path`. Raises ConfigError."""
    if config.tls_cert_path is None:
        _refuse_without(config, "tls_cert_path", "tls_private_key_path", "tls_client_ca_path")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load_pair(context, config, "tls_cert_path", "tls_private_key_path")
    if config.tls_client_ca_path is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        _load_authorities(context, "tls_client_ca_path", config.tls_client_ca_path)
    return context


def client_context(config: Config) -> ssl.SSLContext | None:
    """What the alerts' receiver meets; None without `alert_tls`. Raises ConfigError."""
    if not config.alert_tls:
        _refuse_without(
            config,
            "alert_tls",
            "alert_tls_ca_path",
            "alert_tls_cert_path",
            "alert_tls_private_key_path",
        )
        return None
    if config.alert_tls_ca_path is None:
        context = ssl.create_default_context()
    else:
        # It checks certificate and host name, and trusts nobody before the authorities are loaded.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        _load_authorities(context, "alert_tls_ca_path", config.alert_tls_ca_path)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if config.alert_tls_cert_path is not None:
        _load_pair(context, config, "alert_tls_cert_path", "alert_tls_private_key_path")
    else:
        _refuse_without(config, "alert_tls_cert_path", "alert_tls_private_key_path")
    return context


def _refuse_without(config: Config, needed: str, *names: str) -> None:
    """Refuse parameters that would be ignored without `needed`: nobody sets them for nothing."""
    for name in names:
        if getattr(config, name) is not None:
            raise ConfigError(f"{name} has no effect without {needed}: set it")


def _load_pair(context: ssl.SSLContext, config: Config, cert_name: str, key_name: str) -> None:
    cert = getattr(config, cert_name)
    key = getattr(config, key_name)
    if key is None:
        raise ConfigError(f"{cert_name} needs {key_name}")
    secret_file(key_name, key)
    _check_readable(cert_name, cert)

    # OpenSSL would otherwise ask for the passphrase on the terminal, and wait for ever.
    def refuse_passphrase() -> str:
        raise ConfigError(
            f"{key_name} {key} is encrypted: store it without a passphrase in a file that only "
            "this user can read"
        )

    try:
        context.load_cert_chain(cert, key, refuse_passphrase)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError(f"{key_name} {key} does not belong to {cert_name} {cert}") from None
        raise ConfigError(
            f"{cert_name} {cert} and {key_name} {key} hold no certificate and key in PEM ({error})"
        ) from None


def _load_authorities(context: ssl.SSLContext, name: str, path: str) -> None:
    _check_readable(name, path)
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        raise ConfigError(
            f"{name} {path} holds no certificates in PEM ({error.reason or error})"
        ) from None


def _check_readable(name: str, path: str) -> None:
    """Name the parameter in the error: OpenSSL's own message says only that a file is missing."""
    try:
        Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"{name} {path}: {reason(error)}") from None
