"""What the benches of the simulated shop share: what they read from the command line, and how they
judge where an alert points.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from shop.formats import VARIANTS
from shop.traffic import Request


def variants_of(letters: str) -> list[str]:
    """The variants of these letters."""
    if unknown := set(letters) - set(VARIANTS):
        raise argparse.ArgumentTypeError(
            f"unknown variant {min(unknown)!r}: use {', '.join(VARIANTS)}"
        )
    return list(letters)


def seeds_of(text: str) -> list[int]:
    """`0-2,7` as [0, 1, 2, 7]."""
    seeds: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not first.isdigit() or not (last or first).isdigit():
            raise argparse.ArgumentTypeError(f"{text!r} is no list of seeds such as 0-5,7")
        seeds += range(int(first), int(last or first) + 1)
    if not seeds:
        raise argparse.ArgumentTypeError(f"{text!r} has no seed: write the smaller number first")
    return seeds


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
