"""The endpoints of `serve` as an operator sets them up.

TLS in both directions, keys and users in files, a Unix socket, and metrics.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shlex
import shutil
import ssl
import sys
from pathlib import Path
from typing import Any

import pytest
from certificates import Certificates
from serving import Receiver, Served, free_port, http_get, receiving, samples, serving, until
from synthetic import CLOSE, GOING, MESSAGES, OPEN, OPENED, STUCK, T0, S

from fluent_krone.errors import SinkBusy
from fluent_krone.runtime.metric_names import is_known
from fluent_krone.sink.forward import ForwardSink
from fluent_krone.transport.forward import encode_events
from fluent_krone.transport.server import ForwardServer, ServerSettings
from fluent_krone.types import Alert

BAD_RIDE = (OPEN, OPENED, GOING, STUCK, CLOSE)
FLUENTD = shutil.which("fluentd")
REPOSITORY = Path(__file__).parents[2]


def event(number: int, ride: str, log_key: int) -> Alert:
    """A log line as our own Forward client sends it."""
    return Alert(
        f"{ride}-{number}", "app", T0 + number * S, {"message": MESSAGES[log_key], "ride": ride}
    )


def bad_ride(name: str) -> list[Alert]:
    return [event(number, name, key) for number, key in enumerate(BAD_RIDE)]


def secret(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path


def client_tls(certificates: Certificates, name: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(certificates.cert("authority")))
    if name:
        context.load_cert_chain(certificates.cert(name), certificates.key(name))
    return context


@pytest.fixture
def guarded(tmp_path: Path, certificates: Certificates) -> list[str]:
    """Flags of a server with all its locks."""
    return [
        f"--tls-cert-path={certificates.cert('server')}",
        f"--tls-private-key-path={certificates.key('server')}",
        f"--tls-client-ca-path={certificates.cert('authority')}",
        f"--shared-key-file={secret(tmp_path / 'key', 'the key')}",
        f"--users-file={secret(tmp_path / 'users', 'ann:pass:word')}",
    ]


def test_a_client_needs_every_key_and_alerts_leave_over_tls(
    bundle_dir: Path, tmp_path: Path, certificates: Certificates, guarded: list[str]
) -> None:
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(certificates.cert("server"), certificates.key("server"))
    theirs.load_verify_locations(certificates.cert("authority"))
    theirs.verify_mode = ssl.CERT_REQUIRED
    towards = [
        "--alert-host=localhost",
        "--alert-tls=true",
        f"--alert-tls-ca-path={certificates.cert('authority')}",
        f"--alert-tls-cert-path={certificates.cert('client')}",
        f"--alert-tls-private-key-path={certificates.key('client')}",
        f"--alert-shared-key-file={secret(tmp_path / 'their-key', 'theirs')}",
        f"--alert-user-file={secret(tmp_path / 'user', 'krone:there')}",
    ]

    async def knock(
        served: Served,
        cert: str | None = "client",
        key: str = "the key",
        password: str = "pass:word",
    ) -> None:
        sink = ForwardSink(
            "localhost", served.port, shared_key=key, username="ann", password=password,
            ssl_context=client_tls(certificates, cert), ack_timeout_s=20,
        )  # fmt: skip
        try:
            await sink.deliver(bad_ride(f"{cert} {key} {password}"))
        finally:
            await sink.close()

    async def scenario() -> tuple[Served, Receiver]:
        receiver = Receiver()
        server = ForwardServer(
            ServerSettings(
                port=0, ssl_context=theirs, shared_key="theirs", users={"krone": "there"}
            )
        )
        await server.start(receiver)
        async with serving(bundle_dir, *guarded, *towards, f"--alert-port={server.port}") as served:
            await knock(served)
            with pytest.raises(SinkBusy, match="shared_key mismatch"):
                await knock(served, key="a key")
            with pytest.raises(SinkBusy, match="username/password mismatch"):
                await knock(served, password="guess")
            for cert in (None, "stranger"):
                with pytest.raises(SinkBusy):
                    await knock(served, cert=cert)
            with pytest.raises(SinkBusy):  # no TLS at all
                await ForwardSink("localhost", served.port, ack_timeout_s=2).deliver(
                    bad_ride("plain")
                )
        await server.close()
        return served, receiver

    served, receiver = asyncio.run(scenario())
    assert {tuple(record["session"]) for _, record in receiver.alerts} == {
        ("client the key pass:word",)
    }
    assert "auth_failures=2" in served.log and "protocol_errors_bad_tls=3" in served.log
    assert "reason=bad_tls error=PEER_DID_NOT_RETURN_A_CERTIFICATE" in served.log
    for password in ("the key", "a key", "theirs", "pass:word", "guess"):
        assert password not in served.log


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_tls_is_refused(
    bundle_dir: Path, certificates: Certificates, guarded: list[str]
) -> None:
    async def scenario() -> Served:
        async with serving(bundle_dir, *guarded) as served:
            old = client_tls(certificates, "client")
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
            old.set_ciphers("DEFAULT@SECLEVEL=0")
            with pytest.raises(OSError):
                await asyncio.open_connection("localhost", served.port, ssl=old)
        return served

    assert "reason=bad_tls error=UNSUPPORTED_PROTOCOL" in asyncio.run(scenario()).log


def test_a_unix_socket(bundle_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "krone.sock"

    async def scenario() -> str:
        async with serving(bundle_dir, f"--unix-path={path}", "--unix-perm=0666") as served:
            assert path.stat().st_mode & 0o777 == 0o666
            reader, writer = await asyncio.open_unix_connection(str(path))
            writer.write(encode_events("app", [(a.time_ns, a.record) for a in bad_ride("1")], "id"))
            assert b"ack" in await asyncio.wait_for(reader.read(100), 30)
            writer.close()
        return served.listening

    assert f"listening path={path}" in asyncio.run(scenario())
    assert not path.exists()


METRICS = ("--metrics=true", "--metrics-port=0")


def test_metrics_and_health(bundle_dir: Path) -> None:
    async def scenario() -> None:
        async with (
            receiving() as (receiver, flags),
            serving(bundle_dir, *flags, *METRICS) as served,
        ):
            assert await http_get(served.metrics_port, "/healthz") == (200, "ok\n")
            client = ForwardSink("localhost", served.port)
            await client.deliver([*bad_ride("1"), Alert("x", "app", T0, {"no": "message"})])
            await until(lambda: bool(receiver.alerts), within_s=60)
            status, page = await http_get(served.metrics_port, "/metrics")
            await client.close()
            assert status == 200
            names = [
                *(
                    "fluent_krone_records_total",
                    "fluent_krone_events_total",
                    "fluent_krone_sessions_open",
                ),
                'fluent_krone_records_set_aside_total{reason="no_message"}',
                *(
                    "fluent_krone_alerts_total",
                    "fluent_krone_connections_total",
                    "fluent_krone_auth_failures_total",
                ),
                'fluent_krone_chunk_ack_seconds_bucket{le="+Inf"}',
            ]
            assert samples(page, names) == [6, 5, 1, 1, 2, 1, 0, 1]
            assert (await http_get(served.metrics_port, "/secrets"))[0] == 404

    asyncio.run(scenario())


@pytest.mark.node
def test_the_node_client_over_tls(
    bundle_dir: Path, certificates: Certificates, guarded: list[str], node_modules: Path
) -> None:
    paths = {
        "ca": certificates.cert("authority"),
        "cert": certificates.cert("client"),
        "key": certificates.key("client"),
    }
    options: dict[str, Any] = {
        "mode": "PackedForward", "patienceMs": 20_000, "count": 20,
        "sharedKey": "the key", "username": "ann", "password": "pass:word",
        "tls": {name: str(path) for name, path in paths.items()},
    }  # fmt: skip

    async def scenario() -> tuple[Any, Served]:
        async with serving(bundle_dir, *guarded) as served:
            client = await asyncio.create_subprocess_exec(
                *("node", "client.js", json.dumps(options | {"port": served.port})),
                cwd=node_modules,
                stdout=asyncio.subprocess.PIPE,
            )
            printed, _ = await asyncio.wait_for(client.communicate(), 60)
        return json.loads(printed), served

    printed, served = asyncio.run(scenario())
    assert printed == {"acked": 40, "errors": []}
    assert " records=40" in served.log


OUT_FORWARD = """
<source>
  @type sample
  tag app
  sample {{"message": "{message}", "ride": "7"}}
</source>
<match app>
  @type forward
  transport tls
  tls_cert_path {ca}
  tls_client_cert_path {cert}
  tls_client_private_key_path {key}
  require_ack_response true
  <security>
    self_hostname fluentd.test
    shared_key {shared_key}
  </security>
  <server>
    host localhost
    port {port}
    username ann
    password pass:word
  </server>
  <buffer tag>
    flush_mode immediate
    retry_wait 1
    retry_max_times 3
  </buffer>
</match>
"""


@pytest.mark.fluentd
@pytest.mark.skipif(FLUENTD is None, reason="no `fluentd` command on PATH")
@pytest.mark.parametrize("shared_key", ["the key", "another"])
def test_fluentds_out_forward_over_tls(
    shared_key: str,
    bundle_dir: Path,
    tmp_path: Path,
    certificates: Certificates,
    guarded: list[str],
) -> None:
    async def scenario() -> tuple[Served, Receiver]:
        async with (
            receiving() as (receiver, flags),
            serving(bundle_dir, *guarded, *flags, *METRICS) as served,
        ):
            conf = tmp_path / "fluent.conf"
            conf.write_text(
                OUT_FORWARD.format(
                    message=MESSAGES[STUCK],
                    port=served.port,
                    shared_key=shared_key,
                    ca=certificates.cert("authority"),
                    cert=certificates.cert("client"),
                    key=certificates.key("client"),
                )
            )
            fluentd = await asyncio.create_subprocess_exec(
                *(FLUENTD or "fluentd", "--no-supervisor", "-c", str(conf)),
                stdout=asyncio.subprocess.DEVNULL,
                env=os.environ,
            )
            if shared_key == "the key":
                await until(lambda: bool(receiver.alerts), within_s=60)
            else:
                await refused(served)
            fluentd.terminate()
            await asyncio.wait_for(fluentd.wait(), 60)
        return served, receiver

    async def refused(served: Served) -> None:
        async with asyncio.timeout(60):
            while samples(
                (await http_get(served.metrics_port, "/metrics"))[1],
                ["fluent_krone_auth_failures_total"],
            ) == [0]:
                await asyncio.sleep(0.1)

    served, receiver = asyncio.run(scenario())
    if shared_key == "the key":
        assert receiver.alerts[0][1]["session"] == ["7"]
        assert "chunks_without_id" not in served.log and "auth_failures" not in served.log
    else:
        assert not receiver.alerts and " records=" not in served.log
        assert "client='fluentd.test' reason=shared_key mismatch" in served.log


UNDER_FLUENTD = """
<source>
  @type monitor_agent
  bind 127.0.0.1
  port {monitor_port}
</source>
<source>
  @type sample
  tag app
  sample {{"message": "{message}", "ride": "7"}}
</source>
<match app>
  @type krone
  @id detector
  command {command}
  bundle {bundle}
  metrics true
  metrics_port {metrics_port}
  <buffer tag>
    flush_mode immediate
    flush_thread_interval 0.1
  </buffer>
</match>
<match krone.**>
  @type null
</match>
"""


@pytest.mark.fluentd
@pytest.mark.skipif(FLUENTD is None, reason="no `fluentd` command on PATH")
def test_monitor_agent_and_prometheus_show_every_number_of_the_child(
    bundle_dir: Path, tmp_path: Path
) -> None:
    child = tmp_path / "child.py"  # the command as it is, in more of a hurry to report
    child.write_text(
        "import sys, fluent_krone.cli as cli\ncli._STATS_INTERVAL_S = 0.2\nsys.exit(cli.main())\n"
    )
    monitor_port, metrics_port = free_port(), free_port()
    conf = tmp_path / "fluent.conf"
    conf.write_text(
        UNDER_FLUENTD.format(
            message=MESSAGES[STUCK],
            bundle=bundle_dir,
            command=shlex.join([sys.executable, str(child)]),
            monitor_port=monitor_port,
            metrics_port=metrics_port,
        )
    )

    async def shown() -> dict[str, float]:
        _, page = await http_get(monitor_port, "/api/plugins.json?@id=detector&with_ivars=false")
        numbers = json.loads(page)["plugins"][0]
        return {
            name.removeprefix("krone_"): n
            for name, n in numbers.items()
            if name.startswith("krone_")
        }

    async def scenario() -> tuple[dict[str, float], str]:
        fluentd = await asyncio.create_subprocess_exec(
            *(
                FLUENTD or "fluentd",
                "--no-supervisor",
                "-c",
                str(conf),
                "-p",
                str(REPOSITORY / "fluent_krone" / "fluentd"),
            ),
            stdout=asyncio.subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        )
        try:
            async with asyncio.timeout(60):
                numbers: dict[str, float] = {}
                while not numbers.get("alerts_delivered"):
                    await asyncio.sleep(0.1)
                    with contextlib.suppress(OSError):  # not up yet
                        numbers = await shown()
            _, page = await http_get(metrics_port, "/metrics")
        finally:
            fluentd.terminate()
            await asyncio.wait_for(fluentd.wait(), 60)
        return numbers, page

    numbers, page = asyncio.run(scenario())
    own = {
        "children_started",
        "alerts_routed",
        "alerts_refused",
        "chunks_given_up",
        "chunks_in_flight",
    }
    assert own <= set(numbers)
    assert [name for name in set(numbers) - own if not is_known(name)] == []
    for name in (
        "records",
        "events",
        "sessions_open",
        "chunks",
        "alerts",
        "cache_misses",
        "commit_count",
    ):
        assert numbers[name] > 0, name
    assert samples(page, ["fluent_krone_records_total"])[0] >= numbers["records"]
