"""Error families, by who must act. A message names parameter, value and remedy."""

from __future__ import annotations

from typing import Literal


class KroneError(Exception):
    """Base of every error that fluent-krone raises on purpose; told in one line, exit code 1."""


class ConfigError(KroneError):
    """The operator edits the configuration."""


class BundleError(KroneError):
    """The model bundle is damaged or of another version: rebuild or copy it again."""


class SnapshotError(KroneError):
    """Saved state belongs to another bundle or version."""


class ExportError(KroneError):
    """The input of the offline export can't be made into a bundle: the message says what is missing."""


# All there are; docs/operations.md tells an operator what to do about each.
SetAside = Literal["not_a_map", "no_message", "line_format", "no_session_key", "undecodable"]


class RecordError(KroneError):
    """One bad record: counted under `reason`, set aside, the rest goes on. (`bad_time` costs only the time.)"""

    def __init__(self, reason: SetAside | Literal["bad_time"], message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ProtocolError(KroneError):
    """A peer sent what the Forward protocol does not allow; its connection is closed."""


class SinkBusy(KroneError):
    """The alert receiver can't take more now: pause and try again."""


class StoreError(KroneError):
    """The store can't be written now (no space, no permission): nothing is acked until it can."""


class StoreDamaged(StoreError):
    """What lies in the store can't be read: it is set aside."""
