"""What the doors accept unless told otherwise: the defaults of the parameters in `config`."""

from __future__ import annotations

from dataclasses import fields

from fluent_krone.config import Config

_DEFAULTS = {field.name: field.default for field in fields(Config)}

MAX_FRAME_BYTES: int = _DEFAULTS["max_frame_size"]
MAX_INFLATED_BYTES: int = _DEFAULTS["max_inflated_size"]
MAX_PENDING_BYTES: int = _DEFAULTS["max_pending_size"]
MAX_CONNECTIONS: int = _DEFAULTS["max_connections"]
HOST: str = _DEFAULTS["bind"]
PORT: int = _DEFAULTS["port"]
UNIX_PERMISSIONS: int = _DEFAULTS["unix_perm"]
