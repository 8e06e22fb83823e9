"""Error families, by who must act. A message names parameter, value and remedy."""

from __future__ import annotations

from typing import Literal


class KroneError(Exception):
    """Base of every error that fluent-krone raises on purpose.

    A command reports it in one line and exits with code 1.
    """


class ConfigError(KroneError):
    """The operator edits the configuration."""


class BundleError(KroneError):
    """The model bundle is damaged or of another version: rebuild or copy it again."""


class SnapshotError(KroneError):
    """Saved state belongs to another bundle or version."""


class ExportError(KroneError):
    """The export cannot make a bundle of its input: the message says what is missing."""


# All reasons for which a record becomes no event; docs/operations.md says what to do about each.
SetAside = Literal[
    "not_a_map",
    "no_message",
    "line_format",
    "continuation",
    "no_session_key",
    "undecodable",
    "too_large",
]


class RecordError(KroneError):
    """One bad record: it is counted under `reason` and set aside; the others go on.

    A record with `bad_time` loses only its time.
    """

    def __init__(self, reason: SetAside | Literal["bad_time"], message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ProtocolError(KroneError):
    """A peer sent what the Forward protocol does not allow; its connection is closed."""


class SinkBusy(KroneError):
    """The receiver of alerts cannot take more now: pause and try again."""


class StoreError(KroneError):
    """The store cannot be written now (no space, no permission): nothing is acked until it can."""


class StoreDamaged(StoreError):
    """The content of the store cannot be read: the store is set aside."""


def reason_of(error: OSError) -> str:
    """What went wrong with which file, without the number of the error.

    >>> reason_of(FileNotFoundError(2, "No such file or directory", "a.log"))
    'a.log: No such file or directory'
    """
    reason = error.strerror or str(error)
    if error.filename:
        return f"{error.filename}: {reason}"
    return reason
