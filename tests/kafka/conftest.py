"""A real broker for all tests of this folder; where none can be started, they are skipped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka_broker import Broker, missing
from kafka_rig import PARTITIONS, Rig

from fluent_krone.detect.bundle import Bundle, load_bundle

_FOLDER = "tests/kafka/"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything here `kafka`, and skip it aloud where there is no broker."""
    reason = missing()
    for item in items:
        if _FOLDER in item.path.as_posix():
            item.add_marker("kafka")
            if reason is not None:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One broker; each test has topics and a group of its own."""
    broker = Broker(tmp_path_factory.mktemp("kafka"))
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def rig(broker: Broker, tmp_path: Path, bundle_dir: Path) -> Iterator[Rig]:
    rig = Rig(broker, tmp_path, bundle_dir, PARTITIONS)
    yield rig
    rig.stop()


@pytest.fixture
def bundle(bundle_dir: Path) -> Bundle:
    return load_bundle(str(bundle_dir))
