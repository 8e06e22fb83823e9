"""Fixtures of the tests that run a whole service, or judge the rates of a stream."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from service_rig import Rig, run
from synthetic import steady_training, tree, write_lift_bundle

from export.rates import measure_rates
from fluent_krone.detect.bundle import Bundle, load_bundle


@pytest.fixture
def story(lift: Bundle) -> Callable[[Callable[[Rig], Awaitable[None]]], None]:
    """Runs a test's body with a started service, and closes it."""

    def play(body: Callable[[Rig], Awaitable[None]], **config: Any) -> None:
        async def whole() -> None:
            rig = Rig(lift, **config)
            await rig.service.start()
            await body(rig)
            await rig.service.close()
            assert rig.receiver.closed

        run(whole)

    return play


@pytest.fixture
def store_path(tmp_path: Path) -> str:
    return str(tmp_path / "krone.db")


@pytest.fixture
def flow_bundle(tmp_path: Path) -> Bundle:
    """A bundle that knows that three rides a minute are usual."""
    path = tmp_path / "bundle"
    path.mkdir()
    write_lift_bundle(path, rates=measure_rates(steady_training(2000), tree()))
    return load_bundle(str(path))
