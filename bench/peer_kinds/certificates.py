"""Certificates for one case, made by `openssl` and valid for a day."""

from __future__ import annotations

import subprocess
from pathlib import Path


def certificates(directory: Path) -> None:
    """An authority, and certificates of a server and of a client that it signed."""

    def openssl(arguments: str) -> None:
        subprocess.run(
            ["openssl", *arguments.split()], cwd=directory, check=True, capture_output=True
        )

    new = "-newkey rsa:2048 -nodes -days 1"
    openssl(f"req -x509 -subj /CN=authority -keyout ca.key -out ca.pem {new}")
    for name in ("server", "client"):
        openssl(
            f"req -x509 -subj /CN={name} -CA ca.pem -CAkey ca.key -keyout {name}.key"
            f" -out {name}.pem {new} -addext subjectAltName=DNS:localhost,IP:127.0.0.1"
            " -addext basicConstraints=critical,CA:FALSE"
        )
