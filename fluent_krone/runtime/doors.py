"""From parameters to doors: the Forward server of `serve`, and the sink that its alerts leave by.

Wrong parameters raise ConfigError here, before anything listens: `check-config` builds the same
doors and throws them away.
"""

from __future__ import annotations

import sys

from ..config import Config, is_loopback
from ..errors import ConfigError
from ..sink import Sink
from ..sink.forward import ForwardSink
from ..sink.stdout import StdoutSink
from ..transport.server import ForwardServer, ServerSettings
from .secrets import read_users, shared_key
from .tls import client_context, server_context


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
