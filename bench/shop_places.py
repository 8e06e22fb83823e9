"""Whether an alert names the place of an injected fault."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from shop.traffic import Request


def is_step_right(request: Request, alert: Mapping[str, Any]) -> bool:
    """Whether the alert's odd event is in a place of the fault, or one event beside it."""
    event = (alert.get("seq") or {}).get("event")
    if event is None:
        return False
    # A pause may cut a request into several sessions: count from its own first event.
    times_ms = request.times_ms
    started_ms = round(datetime.fromisoformat(alert["started_at"]).timestamp() * 1000)
    if started_ms in times_ms:
        event += times_ms.index(started_ms)
    return any(first - 1 <= event <= last for first, last in request.places)
