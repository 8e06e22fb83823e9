"""Parameters of `serve`: where it listens, who may send, and where its alerts go."""

from __future__ import annotations

from dataclasses import dataclass

from .declare import SERVE, parameter
from .literals import BOOL, COUNT, MODE, SIZE, STRING


@dataclass(frozen=True, kw_only=True)
class Listening:
    """Forward server: where `serve` listens, and who may send."""

    # Nobody else can reach loopback, so that it needs neither TLS nor a key.
    bind: str = parameter(
        STRING, "127.0.0.1", "The address to listen on.", commands=SERVE, common=True
    )
    # 24224 is the port that the Forward protocol has at Fluentd and Fluent Bit.
    port: int = parameter(COUNT, 24224, "The port to listen on.", commands=SERVE, common=True)
    unix_path: str | None = parameter(
        STRING, None, "The Unix socket to listen on, instead of `bind` and `port`.", commands=SERVE
    )
    # Only the user that runs `serve` may connect, unless asked otherwise.
    unix_perm: int = parameter(MODE, 0o600, "The permissions of the Unix socket.", commands=SERVE)
    allow_insecure_bind: bool = parameter(
        BOOL,
        False,
        "Listen beyond loopback although neither TLS nor a shared key protects the port.",
        commands=SERVE,
    )
    shared_key: str | None = parameter(
        STRING, None, "The key that clients must know.", commands=SERVE, secret=True
    )
    shared_key_file: str | None = parameter(
        STRING, None, "The file that holds `shared_key`.", commands=SERVE
    )
    users_file: str | None = parameter(
        STRING,
        None,
        "A file of `user:password` lines. Clients must log in as one of these users and know the "
        "key.",
        commands=SERVE,
    )
    tls_cert_path: str | None = parameter(
        STRING,
        None,
        "The server's certificate with its chain (PEM). It turns TLS on.",
        commands=SERVE,
    )
    tls_private_key_path: str | None = parameter(
        STRING, None, "The private key of that certificate (PEM, unencrypted).", commands=SERVE
    )
    tls_client_ca_path: str | None = parameter(
        STRING,
        None,
        "Clients must show a certificate that one of these authorities signed (PEM).",
        commands=SERVE,
    )
    # A connection holds one frame at most, and a thousand descriptors are a usual limit.
    max_connections: int = parameter(
        COUNT,
        512,
        "How many clients may be connected. Above it, the client that has been connected longest "
        "without sending a chunk is disconnected.",
        commands=SERVE,
    )
    # Two of the largest frames fit, so that one slow client cannot block the others.
    max_pending_size: int = parameter(
        SIZE,
        128 * 2**20,
        "How many bytes may wait to be processed, of all clients together. Above it, only one "
        "client at a time is read from.",
        commands=SERVE,
    )


@dataclass(frozen=True, kw_only=True)
class AlertReceiver:
    """Alert receiver: where `serve` sends its alerts."""

    alert_host: str | None = parameter(
        STRING,
        None,
        "The Forward receiver of alerts. Without it, alerts are written to standard output.",
        commands=SERVE,
        common=True,
    )
    alert_port: int = parameter(COUNT, 24224, "The port of that receiver.", commands=SERVE)
    alert_shared_key: str | None = parameter(
        STRING, None, "The key that the receiver of alerts demands.", commands=SERVE, secret=True
    )
    alert_shared_key_file: str | None = parameter(
        STRING, None, "The file that holds `alert_shared_key`.", commands=SERVE
    )
    alert_user_file: str | None = parameter(
        STRING,
        None,
        "A file with the one `user:password` that the receiver demands besides the key.",
        commands=SERVE,
    )
    alert_tls: bool = parameter(BOOL, False, "Send alerts over TLS.", commands=SERVE)
    alert_tls_ca_path: str | None = parameter(
        STRING,
        None,
        "Authorities that may sign the receiver's certificate (PEM). By default, those of the "
        "system.",
        commands=SERVE,
    )
    alert_tls_cert_path: str | None = parameter(
        STRING, None, "The certificate that we show to the receiver (PEM).", commands=SERVE
    )
    alert_tls_private_key_path: str | None = parameter(
        STRING, None, "The private key of that certificate (PEM, unencrypted).", commands=SERVE
    )
