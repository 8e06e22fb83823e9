"""Keys and passwords from the files that parameters name. No message repeats their contents."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

from ..config import Config, is_local
from ..errors import ConfigError

_log = logging.getLogger(__name__)


def shared_key(config: Config, name: str) -> str | None:
    """The key of parameter `name`, given directly or by the file of `<name>_file`; None: no key."""
    key: str | None = getattr(config, name)
    path: str | None = getattr(config, f"{name}_file")
    if path is None:
        return key or None
    if key:
        raise ConfigError(f"{name} and {name}_file exclude each other: keep one")
    key = secret_file(f"{name}_file", path).strip("\r\n")
    if not key or "\n" in key:
        raise ConfigError(f"{name}_file {path} must hold the key on one line")
    return key


def api_key(config: Config) -> str | None:
    """The key for the explaining model, from its file or from the environment.

    None for a model on this machine that has no key.
    """
    path = config.explain_api_key_file
    variable = "ANTHROPIC_API_KEY"
    if config.explain_protocol == "openai":
        variable = "OPENAI_API_KEY"
    if path is not None:
        key = secret_file("explain_api_key_file", path).strip()
    else:
        key = os.environ.get(variable, "").strip()
    if not key and path is None and is_local(config.explain_base_url):
        return None
    if not key:
        raise ConfigError(
            f"explain {config.explain} needs a key: set explain_api_key_file, or {variable}"
        )
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise ConfigError(
            "the API key holds characters that no key has: "
            f"check explain_api_key_file or {variable}"
        )
    return key


def read_users(name: str, path: str) -> dict[str, str]:
    """Passwords by user, from a file of `user:password` lines.

    Empty lines and lines that begin with `#` are skipped.
    """
    users: dict[str, str] = {}
    for number, line in enumerate(secret_file(name, path).splitlines(), start=1):
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


def secret_file(name: str, path: str) -> str:
    """The text of a file that only its owner should read. Raises ConfigError.

    Whoever may write the file could let himself in, so a file that everyone may write is refused.
    One that everyone may read only causes a warning: Kubernetes and Docker mount secrets that way,
    in containers that have no other users.
    """
    try:
        mode = Path(path).stat().st_mode
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name} {path}: {reason(error)}") from None
    if mode & stat.S_IWOTH:
        raise ConfigError(f"{name} {path} can be written by anyone: chmod 600 it")
    if mode & stat.S_IROTH:
        _log.warning(
            "secrets can be read by others, chmod 600 the file parameter=%s path=%s", name, path
        )
    return text


def reason(error: Exception) -> str:
    """Why a file can't be read, in the system's words."""
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error)
