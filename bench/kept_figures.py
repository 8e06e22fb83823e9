"""Figures of a bench that is measured part by part, and can be ended and taken up."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Kept:
    """Figures of parts, by name; written to a file, where there is one, as each is done."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self.parts: dict[str, Any] = {}
        if file is not None and file.exists():
            self.parts = json.loads(file.read_text(encoding="utf-8"))

    def once(self, name: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        if name not in self.parts:
            began = time.process_time()
            self.parts[name] = measure()
            # On standard error: standard output ends with the figures as JSON.
            print(f"{name}: {time.process_time() - began:.0f} s of CPU", file=sys.stderr)
            sys.stdout.flush()
            if self._file is not None:
                self._file.write_text(json.dumps(self.parts), encoding="utf-8")
        found: dict[str, Any] = self.parts[name]
        return found


def merge(into: dict[str, Any], more: dict[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value
