"""What is released: a wheel, a source distribution and a gem that install and work."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from fluent_krone import __version__

REPOSITORY = Path(__file__).parents[2]
sys.path.append(str(REPOSITORY / "tools"))

import dist  # noqa: E402

needs_gem = pytest.mark.skipif(shutil.which("gem") is None, reason="no `gem` command on PATH")
needs_fluentd = pytest.mark.skipif(
    shutil.which("fluentd") is None, reason="no `fluentd` command on PATH"
)


@pytest.fixture(scope="module")
def python_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("setuptools")
    output = tmp_path_factory.mktemp("dist")
    dist.build_python(output)
    return output


@pytest.fixture(scope="module")
def gem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("dist")
    dist.build_gem(output)
    return output / f"fluent-plugin-krone-{__version__}.gem"


def test_the_wheel_and_the_source_distribution_hold_the_same_package(python_files: Path) -> None:
    wheel = python_files / f"fluent_krone-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as file:
        packed = {name for name in file.namelist() if ".dist-info/" not in name}
    ours = {
        str(path.relative_to(REPOSITORY))
        for folder in ("fluent_krone", "export", "models")
        for path in (REPOSITORY / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    placed = {name if name.startswith("fluent_krone/") else f"fluent_krone/{name}" for name in ours}
    assert packed == placed
    with tarfile.open(python_files / f"fluent_krone-{__version__}.tar.gz") as source:
        names = {name.partition("/")[2] for name in source.getnames()}
    assert ours <= names


def test_a_wheel_of_the_source_distribution_is_the_same(python_files: Path, tmp_path: Path) -> None:
    with tarfile.open(python_files / f"fluent_krone-{__version__}.tar.gz") as source:
        # Python before 3.11.4 has no filters.
        if hasattr(tarfile, "data_filter"):
            source.extraction_filter = tarfile.data_filter
        source.extractall(tmp_path)
    (unpacked,) = tmp_path.iterdir()
    build = [sys.executable, "setup.py", "-q", "bdist_wheel", "--dist-dir", str(tmp_path)]
    done = subprocess.run(build, cwd=unpacked, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    name = f"fluent_krone-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(tmp_path / name) as one, zipfile.ZipFile(python_files / name) as other:
        assert set(one.namelist()) == set(other.namelist())


def test_the_page_on_installing_names_every_extra() -> None:
    setup = (REPOSITORY / "setup.py").read_text(encoding="utf-8")
    declared = re.findall(
        r'^        "(\w+)": \[', setup.partition("extras_require")[2], re.MULTILINE
    )
    page = (REPOSITORY / "docs" / "install.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \| ", page, re.MULTILINE)
    assert declared
    assert set(declared) == set(re.findall(r"`(\w+)`", " ".join(rows)))


@needs_gem
def test_the_gem_installs_and_holds_the_one_plugin_file(gem: Path, tmp_path: Path) -> None:
    install(gem, tmp_path)
    folder = tmp_path / "gems" / f"fluent-plugin-krone-{__version__}"
    plugin = folder / "lib" / "fluent" / "plugin" / "out_krone.rb"
    assert plugin.read_bytes() == dist.PLUGIN.read_bytes()
    assert (folder / "README.md").is_file()
    shown = subprocess.run(
        ["gem", "specification", str(gem), "--yaml"], capture_output=True, text=True, check=True
    ).stdout
    assert "name: fluentd" in shown
    assert "Apache-2.0" in shown


@needs_gem
@needs_fluentd
@pytest.mark.fluentd
def test_fluentd_finds_the_plugin_in_the_gem(
    gem: Path, tmp_path: Path, program: dict[str, str]
) -> None:
    """Without `-p`: only the gem holds the plugin."""
    install(gem, tmp_path / "gems")
    conf = tmp_path / "fluent.conf"
    conf.write_text("<match app.**>\n@type krone\nbundle hdfs\n</match>\n")
    command = ["fluentd", "--dry-run", "-c", str(conf)]
    without = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert without.returncode != 0
    assert "Unknown output plugin 'krone'" in without.stdout
    usual = subprocess.run(["gem", "environment", "gempath"], capture_output=True, text=True)
    environment = program | {"GEM_PATH": f"{tmp_path / 'gems'}:{usual.stdout.strip()}"}
    found = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stdout + found.stderr


def install(gem: Path, folder: Path) -> None:
    """Install the file alone: dependencies would come from the network."""
    command = ["gem", "install", "--local", "--ignore-dependencies", "--no-document"]
    done = subprocess.run(
        [*command, "--install-dir", str(folder), str(gem)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "page", ["docs/install.md", "docs/fluent-package.md", "deploy/gem/README.md"]
)
def test_pages_name_the_files_of_this_version(page: str) -> None:
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    wheels = re.findall(r"fluent_krone-([\d.]+)-py3", text)
    gems = re.findall(r"fluent-plugin-krone-([\d.]+)\.gem", text)
    assert wheels and gems
    assert set(wheels + gems) == {__version__}
