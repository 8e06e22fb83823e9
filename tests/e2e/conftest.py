"""What the end-to-end tests share."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

NODE = Path(__file__).parent / "node"


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """The folder of the Node peers, their package installed once; or skip and say why."""
    for command in ("node", "npm"):
        if shutil.which(command) is None:
            pytest.skip(f"no `{command}` on PATH")
    if (NODE / "node_modules" / "@fluent-org" / "logger").is_dir():
        return NODE
    install = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
    done = subprocess.run(
        install, cwd=NODE, capture_output=True, text=True, timeout=120, check=False
    )
    if done.returncode:
        pytest.skip(f"npm could not install @fluent-org/logger: {done.stderr.strip()[-300:]}")
    return NODE
