"""What the end-to-end tests share."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Browser, chromium

NODE = Path(__file__).parent / "node"
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def program(tmp_path: Path) -> dict[str, str]:
    """An environment whose PATH has this checkout's `fluent-krone`, where the plugin finds it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    command = shlex.join([sys.executable, "-m", "fluent_krone"])
    (folder / "fluent-krone").write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    (folder / "fluent-krone").chmod(0o755)
    path = f"{folder}:{os.environ['PATH']}"
    return os.environ | {"PATH": path, "PYTHONPATH": str(REPOSITORY)}


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A headless browser, started once for a module of tests."""
    command = chromium()
    if command is None:
        pytest.skip("no `chromium` on PATH")
    browser = Browser(command, tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


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
