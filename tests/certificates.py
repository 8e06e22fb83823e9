"""An authority and what it signed, made by `openssl` for one test run and valid for a day."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Certificates:
    """`server` is for localhost and 127.0.0.1; `stranger` is self-signed.

    `locked` is the encrypted key of the server.
    """

    directory: Path

    def cert(self, name: str) -> Path:
        return self.directory / f"{name}.pem"

    def key(self, name: str) -> Path:
        return self.directory / f"{name}.key"


def make(directory: Path) -> Certificates:
    """Make them in `directory`; skips the test where there is no `openssl`."""
    if shutil.which("openssl") is None:
        pytest.skip("no `openssl` on PATH")
    made = Certificates(directory)
    for name in ("authority", "stranger"):
        _openssl(directory, f"req -x509 -subj /CN={name} -keyout {name}.key -out {name}.pem {_NEW}")
    for name in ("server", "client"):
        _openssl(
            directory,
            f"req -x509 -subj /CN={name} -CA authority.pem -CAkey authority.key"
            f" -keyout {name}.key -out {name}.pem {_NEW}"
            " -addext subjectAltName=DNS:localhost,IP:127.0.0.1"
            " -addext basicConstraints=critical,CA:FALSE",
        )
    _openssl(directory, "rsa -in server.key -aes256 -passout pass:x -out locked.key")
    return made


_NEW = "-newkey rsa:2048 -nodes -days 1"


def _openssl(directory: Path, arguments: str) -> None:
    subprocess.run(
        ["openssl", *arguments.split()], cwd=directory, check=True, capture_output=True, timeout=60
    )
