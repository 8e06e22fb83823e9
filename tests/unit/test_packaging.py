"""What is installed: plugin, page, models and export. It works where nothing else lies."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PLACES = {
    "fluent_krone": "fluent_krone",
    "export": "fluent_krone/export",
    "models": "fluent_krone/models",
}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a wheel is packed of; built of a copy, for a build leaves its own files behind."""
    if importlib.util.find_spec("setuptools") is None:
        pytest.skip("setuptools is not installed")
    source, built = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    for name in PLACES:
        shutil.copytree(
            REPOSITORY / name, source / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copyfile(REPOSITORY / name, source / name)
    build = [sys.executable, "setup.py", "-q", "build", "--build-lib", str(built)]
    done = subprocess.run(build, cwd=source, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return built


def test_all_files_are_installed_inside_the_package(installed: Path) -> None:
    ours = {
        f"{place}/{path.relative_to(REPOSITORY / folder)}"
        for folder, place in PLACES.items()
        for path in (REPOSITORY / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {
        *(
            "fluent_krone/page/page.html",
            "fluent_krone/py.typed",
            "fluent_krone/fluentd/out_krone.rb",
        ),
        *(
            "fluent_krone/models/hdfs/manifest.json",
            "fluent_krone/export/cli.py",
            "fluent_krone/export/report/page.css",
        ),
    } <= ours
    assert {
        str(path.relative_to(installed)) for path in installed.rglob("*") if path.is_file()
    } == ours


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["check-config", "--bundle", "hdfs"], "ok: bundle hdfs"),
        (["export", "show", "hdfs"], "ROOT ("),
        (["plugin-dir"], "fluent_krone/fluentd\n"),
    ],
)
def test_what_was_installed_works(
    installed: Path, tmp_path: Path, arguments: list[str], answer: str
) -> None:
    command = [sys.executable, "-m", "fluent_krone", *arguments]
    environment = os.environ | {"PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, answer in done.stdout) == (0, True), done.stdout + done.stderr
    if arguments == ["plugin-dir"]:
        assert Path(done.stdout.strip()) == installed / "fluent_krone" / "fluentd"
