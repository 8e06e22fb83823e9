"""Builds what is released into `dist/`: a wheel, a source distribution and a gem, of one version.

`make dist` runs it. The wheel and the source distribution are built by setuptools, the gem by
RubyGems' own `gem build`. Without a `gem` command, the gem is left out and this is said.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
# Folders and files that the Python distributions are made of; the rest of a checkout stays out.
SOURCES = ("fluent_krone", "export", "models", "setup.py", "pyproject.toml", "README.md", "LICENSE")
GEM = REPOSITORY / "deploy" / "gem"
PLUGIN = REPOSITORY / "fluent_krone" / "fluentd" / "out_krone.rb"


def build_python(output: Path) -> None:
    """Write the wheel and the source distribution."""
    # Built from a copy, because a build leaves its own files beside the sources, and because old
    # ones of these would get into the wheel.
    with tempfile.TemporaryDirectory() as folder:
        copy_sources(Path(folder))
        for kind in ("bdist_wheel", "sdist"):
            _run([sys.executable, "setup.py", "-q", kind, "--dist-dir", str(output)], folder)


def copy_sources(folder: Path) -> None:
    """Copy what the Python distributions are made of."""
    for name in SOURCES:
        source = REPOSITORY / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, folder / name, ignore=ignored)
        else:
            shutil.copyfile(source, folder / name)


def build_gem(output: Path) -> None:
    """Write the gem. Raises FileNotFoundError when there is no `gem` command."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "lib" / "fluent" / "plugin").mkdir(parents=True)
        shutil.copyfile(PLUGIN, folder / "lib" / "fluent" / "plugin" / PLUGIN.name)
        for file in (*GEM.iterdir(), REPOSITORY / "LICENSE"):
            shutil.copyfile(file, folder / file.name)
        _run(["gem", "build", "--silent", "fluent-plugin-krone.gemspec"], name)
        for gem in folder.glob("*.gem"):
            shutil.copyfile(gem, output / gem.name)


def _run(command: list[str], folder: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


def main() -> None:
    """Build everything into `dist/`, or into the folder that the first argument names."""
    output = REPOSITORY / "dist"
    if len(sys.argv) > 1:
        output = Path(sys.argv[1]).absolute()
    output.mkdir(parents=True, exist_ok=True)
    build_python(output)
    try:
        build_gem(output)
    except FileNotFoundError:
        print("no gem: there is no `gem` command on PATH", file=sys.stderr)
    for file in sorted(output.iterdir()):
        print(file)


if __name__ == "__main__":
    main()
