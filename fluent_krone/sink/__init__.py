"""Where alerts leave: each sink confirms what it delivered, or says that it could not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from fluent_krone.types import Alert


class Sink(Protocol):
    """The seam for the alerts' way out."""

    async def deliver(self, alerts: Sequence[Alert]) -> None:
        """Return once the receiver has all of `alerts`, in their order; only then may the store forget them.

        Raises SinkBusy when that is not confirmed. The caller then delivers the same alerts again, later, so a
        receiver may see one twice: `alert_id` tells.
        """

    async def close(self) -> None:
        """Let go of the receiver; may be called twice."""
