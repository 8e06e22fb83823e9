"""Reads the YAML documents of a file, such as the manifests in `deploy/`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


def documents(path: Path) -> list[dict[str, Any]]:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
