"""What `deploy/kafka/` holds: manifests whose parameters exist, and whose schema is Kubernetes'."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path

from manifests import documents

from fluent_krone.config import Config, Parser, add_flags, from_flags

REPOSITORY = Path(__file__).parents[2]
MANIFEST = REPOSITORY / "deploy" / "kafka" / "kubernetes.yaml"
COMPOSE = REPOSITORY / "deploy" / "kafka" / "compose.yaml"
DOCKERFILE = REPOSITORY / "deploy" / "docker" / "kafka.Dockerfile"


def parsed(arguments: list[str]) -> Config:
    """The configuration of a command line of `kafka` or `kafka-key`."""
    command, *flags = arguments
    parser = Parser()
    add_flags(parser, command)
    namespace: argparse.Namespace = parser.parse_args(flags)
    return from_flags(namespace, command)


def test_the_manifests_configuration_is_accepted(tmp_path: Path) -> None:
    found = {content["kind"]: content for content in documents(MANIFEST)}
    pod = found["StatefulSet"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    file = tmp_path / "kafka.toml"
    file.write_text(found["ConfigMap"]["data"]["kafka.toml"])
    arguments = [a.replace("/etc/fluent-krone", str(tmp_path)) for a in container["args"]]
    config = parsed(arguments)
    assert (config.topic, config.member_name) == ("logs-keyed", "$(POD_NAME)")
    assert {mount["name"] for mount in container["volumeMounts"]} == {
        volume["name"] for volume in pod["volumes"]
    }


def test_the_compose_files_commands_are_accepted() -> None:
    [content] = documents(COMPOSE)
    services = content["services"]
    key = parsed(services["key"]["command"])
    judge = parsed(services["judge"]["command"])
    assert key.output_topic == judge.topic
    assert key.group != judge.group


def test_the_image_starts_with_parameters_that_exist() -> None:
    command = re.search(r"^CMD \[(.*)\]$", DOCKERFILE.read_text(encoding="utf-8"), re.MULTILINE)
    assert command
    assert parsed(shlex.split(command[1].replace(",", " "))).metrics


def test_the_jars_of_the_tests_are_of_the_broker_that_compose_starts() -> None:
    pom = (REPOSITORY / "tests" / "kafka" / "pom.xml").read_text(encoding="utf-8")
    version = re.search(r"kafka_2.13</artifactId>\s*<version>([\d.]+)<", pom)
    assert version
    assert f"apache/kafka:{version[1]}" in COMPOSE.read_text(encoding="utf-8")
