"""What the inputs accept unless told otherwise: the defaults of the parameters in `config`."""

from __future__ import annotations

from ..config import default_of

MAX_FRAME_BYTES: int = default_of("max_frame_size")
MAX_INFLATED_BYTES: int = default_of("max_inflated_size")
MAX_PENDING_BYTES: int = default_of("max_pending_size")
MAX_CONNECTIONS: int = default_of("max_connections")
HOST: str = default_of("bind")
PORT: int = default_of("port")
UNIX_PERMISSIONS: int = default_of("unix_perm")
