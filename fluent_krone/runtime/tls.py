"""TLS contexts from parameters: for the clients of `serve`, and for the receiver of alerts."""

from __future__ import annotations

import ssl
from pathlib import Path

from ..config import Config
from ..errors import ConfigError
from .secrets import reason, secret_file


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
            f"{cert_name} {cert} and {key_name} {key}: no certificate and key in PEM ({error})"
        ) from None


def _load_authorities(context: ssl.SSLContext, name: str, path: str) -> None:
    _check_readable(name, path)
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        raise ConfigError(
            f"{name} {path}: no certificates in PEM ({error.reason or error})"
        ) from None


def _check_readable(name: str, path: str) -> None:
    """Name the parameter in the error: OpenSSL's own message says only that a file is missing."""
    try:
        Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"{name} {path}: {reason(error)}") from None
