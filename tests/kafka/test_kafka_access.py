"""How an instance reaches its brokers, and what it shows of itself."""

from __future__ import annotations

import functools
import itertools
import socket
import urllib.error
import urllib.request
from pathlib import Path

from certificates import Certificates
from kafka_broker import Broker, free_port
from kafka_rig import Rig
from synthetic import NORMAL, ride

from fluent_krone.runtime.metric_names import is_known


def records(count: int) -> list[tuple[int, str | None, dict[bytes, bytes]]]:
    return [
        ((time_ns or 0) // 10**6, name, record)
        for name in (f"r{number}" for number in range(count))
        for time_ns, record in ride(name, NORMAL[0])
    ]


def test_brokers_are_reached_over_tls_with_a_password(
    tmp_path: Path, bundle_dir: Path, certificates: Certificates
) -> None:
    keystore = tmp_path / "broker.pem"
    pieces = (certificates.key("server"), certificates.cert("server"))
    keystore.write_bytes(b"".join(path.read_bytes() for path in pieces))
    password = tmp_path / "password"
    broker = Broker(tmp_path / "broker", keystore)
    password.write_text(broker.password + "\n")
    password.chmod(0o600)
    broker.start()
    try:
        rig = Rig(broker, tmp_path, bundle_dir, 1)
        count = rig.produce(records(10))
        secure = ("--brokers", f"127.0.0.1:{broker.secure_port}", "--broker-tls")
        secure += ("--broker-ca-path", str(certificates.cert("authority")))
        secure += ("--sasl-mechanism", "PLAIN", "--sasl-username", "krone")
        rig.start(*secure, "--sasl-password-file", str(password))
        rig.caught_up()
        rig.stop()
        assert f"messages={count} " in rig.log()
        password.write_text("a wrong one\n")
        wrong = rig.start(*secure, "--sasl-password-file", str(password))
        wrong.wait(60)
        assert wrong.returncode == 1
        assert "fluent-krone: brokers" in rig.log().splitlines()[-1]
    finally:
        rig.stop()
        broker.stop()


def has_moved(rig: Rig, before: int) -> bool:
    return rig.lag() not in (before, -1)


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_metrics_and_health_tell_of_each_partition(
    broker: Broker, tmp_path: Path, bundle_dir: Path
) -> None:
    rig = Rig(broker, tmp_path, bundle_dir, 2)
    count = rig.produce(records(20))
    port = free_port()
    rig.start("--metrics", "--metrics-port", str(port))
    rig.caught_up()
    rig.wait(lambda: "kafka_partition_lag{" in get(port, "/metrics")[1], "the figures")
    rig.wait(
        lambda: f"fluent_krone_kafka_messages_total {count}.0" in get(port, "/metrics")[1],
        "all messages",
    )
    page = get(port, "/metrics")[1]
    for partition in (0, 1):
        assert f'fluent_krone_kafka_partition_lag{{partition="{partition}"}} 0.0' in page
        assert f'fluent_krone_kafka_partition_sessions_open{{partition="{partition}"}}' in page
    assert "fluent_krone_kafka_partitions_assigned 2.0" in page
    assert get(port, "/healthz") == (200, "ok\n")
    rig.stop()
    stats = rig.log().split("stats ")[-1].split("\n")[0]
    names = [pair.split("=")[0] for pair in stats.split()]
    assert [name for name in names if not is_known(name)] == []


def test_an_address_where_nobody_listens_is_told_in_one_line(
    broker: Broker, tmp_path: Path, bundle_dir: Path
) -> None:
    rig = Rig(broker, tmp_path, bundle_dir, 1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        lost = rig.start("--brokers", f"127.0.0.1:{silent.getsockname()[1]}")
        lost.wait(60)
    assert lost.returncode == 1
    [line] = [line for line in rig.log().splitlines() if line.startswith("fluent-krone: ")]
    assert line.startswith("fluent-krone: brokers 127.0.0.1:")


def test_keying_that_is_killed_writes_each_message_once(
    broker: Broker, tmp_path: Path, bundle_dir: Path
) -> None:
    rig = Rig(broker, tmp_path, bundle_dir, 2)
    keyed = f"{rig.topic}-keyed"
    rig.create(keyed, 3)
    rig.produce(itertools.chain.from_iterable(itertools.repeat(records(1_000), 5)))
    for _ in range(3):
        instance = rig.start("--output-topic", keyed, command="kafka-key")
        # Killed while it writes: at once after it has committed something more.
        before = rig.lag()
        rig.wait(functools.partial(has_moved, rig, before), "a commit")
        instance.kill()
        instance.wait()
        rig.produce(records(1_000))
    rig.start("--output-topic", keyed, command="kafka-key")
    rig.caught_up()
    rig.stop()
    sent = sorted(message.value() for message in rig.read(rig.topic))
    assert sorted(message.value() for message in rig.read(keyed)) == sent


def test_of_two_instances_with_one_name_the_first_one_ends(
    broker: Broker, tmp_path: Path, bundle_dir: Path
) -> None:
    rig = Rig(broker, tmp_path, bundle_dir, 2)
    rig.produce(records(10))
    first = rig.start("--member-name", "a")
    rig.caught_up()
    rig.start("--member-name", "a")
    first.wait(60)
    assert first.returncode == 1
    assert f"fluent-krone: consumer of group {rig.group}: " in rig.log()
    rig.produce(records(10))
    rig.caught_up()
    rig.stop()
