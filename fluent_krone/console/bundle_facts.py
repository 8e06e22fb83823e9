"""What the live page says of bundles: the one in use, and the one that may follow it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..detect.bundle import Bundle
from ..detect.fault_words import FAULTS

# Figures of a candidate beside the bundle in use, by their names, in this order.
_SHADOW = {
    "sessions": "sessions that both bundles judged",
    "common_alerts": "sessions that both flag",
    "new_alerts": "sessions that only the next bundle flags",
    "lost_alerts": "sessions that only the bundle in use flags",
    "held_out": "normal sessions that it was not fitted to",
    "false_alarms_per_1000": "false alarms to expect of it in 1,000 normal sessions",
    "injected": "sessions with an injected fault",
    "found_candidate": "share of these faults that the next bundle finds",
    "found_live": "share of these faults that the bundle in use finds",
}


def shown_bundle(bundle: Bundle, current: str | None) -> dict[str, Any]:
    """A bundle with what it can and cannot find; `current` is its name in its directory."""
    return {
        "name": bundle.name,
        "current": current,
        "hash": bundle.hash,
        "templates": len(bundle.templates),
        "sessions": len(bundle.training),
        "false_alarms": bundle.false_alarms,
        "blind": [FAULTS.get(kind, kind) for kind in bundle.blind],
        "found": _found(bundle),
    }


def shadow_in_words(shadow: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a candidate under names that a reader understands."""
    found = {}
    for name, words in _SHADOW.items():
        value = shadow.get(name)
        if value is not None and name.startswith("found_"):
            value = _percent(value)
        if value is not None:
            found[words] = value
    return found


def _found(bundle: Bundle) -> dict[str, str]:
    """Which share of each kind of fault the bundle finds, the least first.

    It was measured for some numbers of false alarms. Where the bundle's own is none of them,
    nothing is said.
    """
    column = f"{bundle.false_alarms:g} in 1,000"
    shares = {kind: found[column] for kind, found in bundle.detection.items() if column in found}
    in_order = sorted(shares, key=lambda kind: shares[kind])
    return {FAULTS.get(kind, kind): _percent(shares[kind]) for kind in in_order}


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
