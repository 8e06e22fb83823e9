"""The pages on installing: their configurations and records lead to the alert that they promise."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import msgpack
import pytest
from serving import free_port

REPOSITORY = Path(__file__).parents[2]
INSTALL = REPOSITORY / "docs" / "install.md"
PAGES = (INSTALL, REPOSITORY / "docs" / "fluent-package.md", REPOSITORY / "deploy/gem/README.md")
PLUGIN = REPOSITORY / "fluent_krone" / "fluentd"
# Seconds until the alert must be there. It takes about 5; a busy machine takes longer.
PATIENCE_S = 60

pytestmark = [
    pytest.mark.fluentd,
    pytest.mark.skipif(shutil.which("fluentd") is None, reason="no `fluentd` command on PATH"),
]


def blocks(page: Path, language: str = "") -> list[str]:
    """The code blocks of a page that are marked with a language."""
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [block for marked, block in found if marked == language]


def records_of_the_page() -> list[dict[str, str]]:
    (script,) = [block for block in blocks(INSTALL, "sh") if "fluent-cat" in block]
    lines = script.split("<<'EOF'\n")[1].split("EOF\n")[0].splitlines()
    return [json.loads(line) for line in lines]


def wait_for(words: bytes, log: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while words not in log.read_bytes():
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def test_the_first_configuration_gives_an_alert(tmp_path: Path, program: dict[str, str]) -> None:
    port = free_port()
    (block,) = [block for block in blocks(INSTALL) if "@type krone" in block]
    conf = tmp_path / "fluent.conf"
    conf.write_text(block.replace("24224", str(port)))
    log = tmp_path / "fluentd.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["fluentd", "-p", str(PLUGIN), "-c", str(conf)],
            env=program,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(b"fluent-krone is ready", log, process)
        with socket.create_connection(("127.0.0.1", port)) as sender:
            for record in records_of_the_page():
                sender.sendall(msgpack.packb(["app.hdfs", int(time.time()), record]))
        # The page's own expression.
        wait_for(b'"kind":"sequence"', log, process)
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE_S)
    assert re.search(r'krone\.app\.hdfs.*"kind":"sequence"', log.read_text())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_configurations_are_sound(page: Path, tmp_path: Path, program: dict[str, str]) -> None:
    found = [block for block in blocks(page) if "@type krone" in block]
    assert found
    for block in found:
        conf = tmp_path / "fluent.conf"
        conf.write_text(re.sub("/var/(lib|log)/", f"{tmp_path}/", block))
        command = ["fluentd", "--dry-run", "-p", str(PLUGIN), "-c", str(conf)]
        done = subprocess.run(command, env=program, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
