"""What `deploy/` holds: units, images and manifests that say what the program does."""

from __future__ import annotations

import asyncio
import importlib
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from manifests import documents
from serving import serving

from fluent_krone import __version__

REPOSITORY = Path(__file__).parents[2]
DEPLOY = REPOSITORY / "deploy"
HDFS = REPOSITORY / "models" / "hdfs"
UNIT = DEPLOY / "systemd" / "fluent-krone.service"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
KAFKA = sorted((DEPLOY / "kafka").glob("*.yaml"))
DOCKERFILES = sorted((DEPLOY / "docker").glob("*.Dockerfile"))
# systemd-analyze rates how much of the system a service can reach: 0 is nothing, 10 is all.
MOST_EXPOSED = 1.5

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="no `systemd-analyze` command on PATH"
)
needs_hadolint = pytest.mark.skipif(
    shutil.which("hadolint") is None, reason="no `hadolint` command on PATH"
)
needs_fluent_bit = pytest.mark.skipif(
    shutil.which("fluent-bit") is None, reason="no `fluent-bit` command on PATH"
)


def run(*command: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60
    )


# --- systemd ---


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a program that exists on every machine."""
    text = UNIT.read_text(encoding="utf-8")
    assert "ExecStart=/opt/fluent-krone/bin/fluent-krone serve " in text
    path = tmp_path / UNIT.name
    path.write_text(text.replace("/opt/fluent-krone/bin/fluent-krone", "/bin/true"))
    return path


@needs_systemd
def test_systemd_reads_the_unit(unit: Path) -> None:
    done = run("systemd-analyze", "verify", "--man=no", str(unit))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needs_systemd
def test_the_service_reaches_little_of_the_system(unit: Path) -> None:
    done = run("systemd-analyze", "security", "--offline=yes", "--no-pager", str(unit))
    exposed = re.search(r"Overall exposure level .*?: ([\d.]+)", done.stdout)
    assert exposed, done.stdout + done.stderr
    assert float(exposed[1]) <= MOST_EXPOSED


def check_config(text: str, tmp_path: Path) -> None:
    """`check-config` accepts the file, with its paths moved to a folder of the test."""
    path = tmp_path / "serve.toml"
    path.write_text(text.replace("/var/lib/", f"{tmp_path}/"))
    done = run(sys.executable, "-m", "fluent_krone", "check-config", "--config", str(path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ok: bundle hdfs")


def test_the_units_configuration_is_accepted(tmp_path: Path) -> None:
    check_config((DEPLOY / "systemd" / "serve.toml").read_text(encoding="utf-8"), tmp_path)


def test_the_service_manager_hears_of_start_life_and_stop(tmp_path: Path) -> None:
    async def scenario() -> list[bytes]:
        heard = []
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(tmp_path / "notify"))
            manager.setblocking(False)
            loop = asyncio.get_running_loop()
            environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "300000"}
            async with asyncio.timeout(60):
                async with serving(HDFS, **environment):
                    while heard.count(b"WATCHDOG=1") < 3:
                        heard.append(await loop.sock_recv(manager, 1000))
                # It was stopped by SIGTERM.
                while b"STOPPING=1" not in heard:
                    heard.append(await loop.sock_recv(manager, 1000))
        return heard

    heard = asyncio.run(scenario())
    assert heard[0].startswith(b"READY=1\nSTATUS=listening ")
    assert set(heard[1:]) == {b"WATCHDOG=1", b"STOPPING=1"}


# --- images ---


@needs_hadolint
@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_the_dockerfiles_are_sound(path: Path) -> None:
    done = run("hadolint", str(path))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", [*DOCKERFILES, *MANIFESTS, *KAFKA], ids=lambda path: path.name)
def test_images_have_this_version(path: Path) -> None:
    named = re.findall(r"krone:([\d.]+\d)", path.read_text(encoding="utf-8"))
    assert set(named) == {__version__}


def test_the_image_starts_serve_with_parameters_that_exist(tmp_path: Path) -> None:
    text = (DEPLOY / "docker" / "serve.Dockerfile").read_text(encoding="utf-8")
    command = re.search(r'^CMD \["serve", (.*)\]$', text, re.MULTILINE)
    assert command
    flags = re.findall(r'"(.*?)"', command[1])
    moved = [flag.replace("/var/lib", str(tmp_path)) for flag in flags]
    done = run(sys.executable, "-m", "fluent_krone", "check-config", *moved)
    assert done.returncode == 0, done.stderr


# --- Kubernetes ---


def of_kind(path: Path, *kinds: str) -> list[dict[str, Any]]:
    return [content for content in documents(path) if content["kind"] in kinds]


def workload(path: Path) -> dict[str, Any]:
    (found,) = of_kind(path, "DaemonSet", "StatefulSet")
    return found


def containers(path: Path) -> Iterator[dict[str, Any]]:
    spec = workload(path)["spec"]["template"]["spec"]
    yield from spec["containers"]


@pytest.mark.parametrize("version", ["1.30", "1.35"])
@pytest.mark.parametrize(
    "path", [*MANIFESTS, DEPLOY / "kafka" / "kubernetes.yaml"], ids=lambda path: path.name
)
def test_manifests_follow_the_schema(path: Path, version: str) -> None:
    reason = "kubernetes-validate is not installed"
    schema = pytest.importorskip("kubernetes_validate", reason=reason)
    for content in documents(path):
        schema.validate(content, version, strict=True)


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_selectors_ports_and_volumes_name_what_is_there(path: Path) -> None:
    spec = workload(path)["spec"]
    labels = spec["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"].items() <= labels.items()
    (policy,) = of_kind(path, "NetworkPolicy")
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
    for service in of_kind(path, "Service"):
        assert service["spec"]["selector"].items() <= labels.items()
    pod = spec["template"]["spec"]
    volumes = {volume["name"] for volume in pod["volumes"]}
    volumes |= {claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates", [])}
    opened = set()
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        assert {mount["name"] for mount in container.get("volumeMounts", [])} <= volumes
        ports = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
        opened |= set(ports.values())
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if probe in container:
                assert container[probe]["httpGet"]["port"] in ports
    for rule in policy["spec"]["ingress"]:
        assert {port["port"] for port in rule["ports"]} <= opened
    configured = {content["metadata"]["name"] for content in of_kind(path, "ConfigMap")}
    named = {v["configMap"]["name"] for v in pod["volumes"] if "configMap" in v}
    assert named == configured


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_probes_ask_what_the_docs_say(path: Path) -> None:
    """A restart brings no receiver back, so only readiness asks for /healthz."""
    (container,) = [c for c in containers(path) if c["name"] == "fluent-krone"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/metrics"
    assert container["startupProbe"]["httpGet"]["path"] == "/metrics"
    assert container["readinessProbe"]["httpGet"]["path"] == "/healthz"


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_containers_may_do_little(path: Path) -> None:
    pod = workload(path)["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"]["drop"] == ["ALL"]


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_the_manifests_configuration_is_accepted(path: Path, tmp_path: Path) -> None:
    (config,) = of_kind(path, "ConfigMap")
    text = config["data"]["serve.toml"]
    if "tls_cert_path" in text:
        certificates = importlib.import_module("certificates")
        if shutil.which("openssl") is None:
            pytest.skip("no `openssl` command on PATH")
        make_secrets(certificates, tmp_path)
        text = text.replace("/run/secrets/fluent-krone", str(tmp_path))
    check_config(text, tmp_path)


def make_secrets(certificates: Any, folder: Path) -> None:
    """A certificate, its key and a shared key, under the names that the manifest gives them."""
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=krone-central.fluent-krone.svc"]
    command += ["-keyout", str(folder / "tls.key"), "-out", str(folder / "tls.crt")]
    assert run(*command).returncode == 0
    (folder / "shared_key").write_text("a shared key\n")
    for name in ("tls.key", "shared_key"):
        (folder / name).chmod(0o600)


@needs_fluent_bit
def test_the_nodes_fluent_bit_sends_and_takes_alerts_back(tmp_path: Path) -> None:
    """The manifest's own configuration, with paths and ports of the test."""
    (config,) = of_kind(DEPLOY / "kubernetes" / "node.yaml", "ConfigMap")
    logs = tmp_path / "containers"
    logs.mkdir()
    (tmp_path / "fluent-bit" / "buffer").mkdir(parents=True)

    async def scenario() -> str:
        with socket.create_server(("127.0.0.1", 0)) as free:
            alert_port = free.getsockname()[1]
        flags = ("--message-field", "log", "--alert-host=127.0.0.1", f"--alert-port={alert_port}")
        async with asyncio.timeout(60), serving(HDFS, *flags) as served:
            text = config["data"]["fluent-bit.yaml"]
            text = text.replace("/var/log/containers", str(logs))
            text = text.replace("/var/lib/fluent-bit", str(tmp_path / "fluent-bit"))
            text = text.replace("24224", str(served.port)).replace("24225", str(alert_port))
            text = text.replace("http_server: on", "http_server: off")
            text = re.sub(r"\n *parsers_file: .*", "", text)
            path = tmp_path / "fluent-bit.yaml"
            path.write_text(text)
            process = await asyncio.create_subprocess_exec(
                *("fluent-bit", f"--config={path}"),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
            try:
                # A container that starts later: its file comes after Fluent Bit has begun.
                (logs / "web.log").write_text(
                    "2026-01-02T03:04:05.000000000Z stdout F dfs.DataNode$DataXceiver: Receiving "
                    "block blk_42 src: /10.250.19.102:54106 dest: /10.250.19.102:50010\n"
                    "2026-01-02T03:04:06.000000000Z stdout F dfs.DataNode$DataXceiver: writeBlock "
                    "blk_42 received exception java.io.IOException: Could not read from stream\n"
                )
                assert process.stdout is not None
                while b"alert_id" not in (line := await process.stdout.readline()):
                    assert line, "fluent-bit ended"
                return line.decode()
            finally:
                process.terminate()
                await process.wait()

    assert '"blk_42"' in asyncio.run(scenario())
