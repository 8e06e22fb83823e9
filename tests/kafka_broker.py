"""A real Kafka broker on loopback: one process in KRaft mode, with everything in one directory.

`FLUENT_KRONE_KAFKA` names a directory of jars: `kafka_2.13` with its dependencies. Without it, the
directory `.kafka` of the checkout is used, which `.ci/run` fills where Maven reaches its registry.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from pathlib import Path

_REPOSITORY = Path(__file__).resolve().parents[1]
# Megabytes of heap; a broker with a few topics needs no more.
_HEAP_MB = 512
# Seconds that a broker may take to listen.
_START_S = 90.0
# Replicated once and loaded at once: there is one broker, and a test waits for each group. Records
# of old logs have old times, by which retention would delete them.
_SETTINGS = """
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:{controller}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
message.max.bytes=33554432
replica.fetch.max.bytes=33554432
socket.request.max.bytes=134217728
log.retention.ms=-1
"""
# A second listener over TLS, where a client must log in; properties that are written again count.
_SECURE = """
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},\\
  SASL_SSL://127.0.0.1:{secure}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},SASL_SSL://127.0.0.1:{secure}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL
inter.broker.listener.name=PLAINTEXT
sasl.enabled.mechanisms=PLAIN
listener.name.sasl_ssl.plain.sasl.jaas.config=\\
  org.apache.kafka.common.security.plain.PlainLoginModule required user_krone="{password}";
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
"""


def missing() -> str | None:
    """Why no broker can be started here; None where one can."""
    if importlib.util.find_spec("confluent_kafka") is None:
        return "confluent-kafka is not installed"
    if shutil.which("java") is None:
        return "there is no `java` on PATH"
    if not any(_jars().glob("kafka_2.13-*.jar")):
        return f"no Kafka broker: {_jars()} holds no kafka_2.13 jar (set FLUENT_KRONE_KAFKA)"
    return None


def _jars() -> Path:
    return Path(os.environ.get("FLUENT_KRONE_KAFKA") or _REPOSITORY / ".kafka")


def free_port() -> int:
    """A port of loopback that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Broker:
    """A broker in `folder`; it keeps its port and its data over `stop` and `start`.

    With `keystore`, a file with its key and certificate (PEM), it also listens over TLS at
    `secure_port`, where the user `krone` logs in with `password`. All topics lie in `data`, by
    default below `folder`.
    """

    password = "it is a secret"

    def __init__(
        self, folder: Path, keystore: Path | None = None, data: Path | None = None
    ) -> None:
        self._folder = folder
        self._port = free_port()
        self.secure_port = free_port()
        self._settings = folder / "server.properties"
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        controller = free_port()
        text = _SETTINGS.format(
            port=self._port, controller=controller, data=data or folder / "data"
        )
        if keystore is not None:
            text += _SECURE.format(
                port=self._port,
                controller=controller,
                secure=self.secure_port,
                password=self.password,
                keystore=keystore,
            )
        self._settings.write_text(text)
        cluster = uuid.uuid4().hex[:22]
        arguments = ["format", "-t", cluster, "-c", str(self._settings)]
        subprocess.run(
            self._java("kafka.tools.StorageTool", *arguments), check=True, capture_output=True
        )

    @property
    def address(self) -> str:
        """What clients are told."""
        return f"127.0.0.1:{self._port}"

    @property
    def is_running(self) -> bool:
        """Whether the process still runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process, whose CPU time a bench reads."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, and return once it listens."""
        log = (self._folder / "broker.log").open("ab")
        with log:
            self._process = subprocess.Popen(
                self._java("kafka.Kafka", str(self._settings)), stdout=log, stderr=log
            )
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"the broker ended with {self._process.returncode}")
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self._port)) == 0:
                    return
            time.sleep(0.2)
        raise RuntimeError(f"the broker did not listen within {_START_S:.0f} s")

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it, and wait until it has ended."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)
            self._process = None

    def _java(self, *arguments: str) -> list[str]:
        memory = [f"-Xmx{_HEAP_MB}m", "-Xms256m", "-XX:+UseSerialGC"]
        return ["java", *memory, "-cp", f"{_jars()}/*", *arguments]
