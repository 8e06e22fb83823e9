"""fluent-krone: finds the executions that went wrong in a log stream.

For Python programs (`docs/python.md`):

    from fluent_krone import Detector, load_bundle

    detector = Detector(load_bundle("hdfs"))
    for finding in detector.feed([(1226261319.0, {"message": "…"})]):
        print(detector.alert(finding).record["explanation"])
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .detect.bundle import load_bundle
    from .detector import Detector
    from .types import Alert, Finding

__version__ = "0.1.0"
__all__ = ["Alert", "Detector", "Finding", "__version__", "load_bundle"]

# Where each public name lives. They are imported at first use: the command line and the child of
# `@type krone` import this package too, and must not load what they do not need.
_HOMES = {
    "Alert": ".types",
    "Detector": ".detector",
    "Finding": ".types",
    "load_bundle": ".detect.bundle",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name], __name__), name)
