"""What many tests share: the real data, where it is, and a small synthetic bundle."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from certificates import Certificates, make
from hypothesis import settings
from synthetic import write_lift_bundle

from fluent_krone.detect.bundle import Bundle, load_bundle

settings.register_profile("untimed", deadline=None)  # tests never assert a time
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The data folder beside the repository. Without it the test is skipped; in CI it fails."""
    path = Path(
        os.environ.get("FLUENT_KRONE_DATA") or Path(__file__).parents[2] / "shared" / "data"
    )
    if not path.is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"../shared/data is absent, which CI must have: {path}")
        pytest.skip("../shared/data is absent")
    return path


@pytest.fixture
def bundle_dir(tmp_path: Path) -> Path:
    """A bundle on disk that knows how a lift rides; `synthetic` tells its words."""
    path = tmp_path / "lift"
    path.mkdir()
    write_lift_bundle(path)
    return path


@pytest.fixture(scope="session")
def lift(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The same bundle, loaded."""
    path = tmp_path_factory.mktemp("bundles") / "lift"
    path.mkdir()
    write_lift_bundle(path)
    return load_bundle(str(path))


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority, a server and a client that it signed, and a stranger."""
    return make(tmp_path_factory.mktemp("certificates"))
