"""fluent-krone: a Fluentd output plugin that finds the executions that went wrong in a log stream."""

import re
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
version = re.search(
    r'__version__ = "(.+)"', (here / "fluent_krone/__init__.py").read_text(encoding="utf-8")
)[1]

setup(
    name="fluent-krone",
    version=version,
    description="Finds the executions that went wrong in a Fluentd or Fluent Bit log stream (KRONE), on the CPU",
    long_description=(here / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    # Installed, `export` and `models` lie inside the package: no top-level name `export` lands in site-packages.
    packages=[
        *find_packages(include=["fluent_krone*"]),
        "fluent_krone.export",
        "fluent_krone.models",
    ],
    package_dir={"fluent_krone.export": "export", "fluent_krone.models": "models"},
    package_data={
        "fluent_krone": ["fluentd/*.rb", "page/*.html", "py.typed"],
        "fluent_krone.export": ["*.css"],
        "fluent_krone.models": ["*/*"],
    },
    install_requires=[
        "anthropic>=2",
        "fluent-logger>=0.11",
        "lru-dict>=1.3",
        "msgpack>=1.1",
        "numpy>=1.26",
        "onnxruntime>=1.20",
        "prometheus-client>=0.20",
    ],
    extras_require={
        # Shell completion: eval "$(register-python-argcomplete fluent-krone)"
        "completion": ["argcomplete>=3"],
        "export": ["onnx>=1.17", "pyarrow>=15", "pydantic>=2"],
        "fuzz": ["atheris>=2.3"],
        "test": [  # beside `export`
            *("hypothesis>=6.100", "mypy>=1.13", "pandas>=2", "pytest>=8", "radon>=6", "ruff>=0.9"),
            "argcomplete>=3",
            "setuptools>=68",  # a test looks into what it builds
        ],
    },
    entry_points={"console_scripts": ["fluent-krone = fluent_krone.cli:main"]},
)
