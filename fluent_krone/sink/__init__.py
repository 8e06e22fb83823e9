"""How alerts leave: each sink confirms what it delivered, or reports that it could not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ..types import Alert, Packed


class Sink(Protocol):
    """The interface of everything that alerts can be delivered to."""

    async def deliver(self, alerts: Sequence[Alert]) -> None:
        """Return once the receiver has all of `alerts`, in their order.

        Only then may the store forget them. Raises SinkBusy when that is not confirmed. The caller
        then delivers the same alerts again later, so a receiver may see one twice and recognises it
        by its `alert_id`.
        """

    async def deliver_packed(self, packed: Packed) -> None:
        """The same for records, which are packed already; each has an id of its own."""

    async def close(self) -> None:
        """Close the connection to the receiver; may be called twice."""
