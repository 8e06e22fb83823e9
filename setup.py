"""Packaging of fluent-krone, a Fluentd output plugin that finds the executions that went wrong."""

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
    description="Finds the executions that went wrong in a Fluentd or Fluent Bit log stream",
    long_description=(here / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    # No repository or index is public yet. The paper is where a reader learns about the method.
    project_urls={"Method": "https://arxiv.org/abs/2602.07303"},
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: No Input/Output (Daemon)",
        "Intended Audience :: System Administrators",
        "License :: OSI Approved :: Apache Software License",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: System :: Logging",
        "Topic :: System :: Monitoring",
        "Typing :: Typed",
    ],
    keywords="fluentd fluent-bit log anomaly detection",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    # Installed, `export` and `models` lie inside the package, so that no top-level name `export`
    # lands in site-packages.
    packages=[
        *find_packages(include=["fluent_krone*"]),
        "fluent_krone.export",
        "fluent_krone.export.report",
        "fluent_krone.models",
    ],
    package_dir={"fluent_krone.export": "export", "fluent_krone.models": "models"},
    package_data={
        "fluent_krone": ["fluentd/*.rb", "page/*.css", "page/*.html", "page/*.js", "py.typed"],
        "fluent_krone.export.report": ["*.css"],
        "fluent_krone.models": ["*/*"],
    },
    install_requires=[
        "anthropic>=2",
        "fluent-logger>=0.11",
        # The HTTP of metrics, health and the live page; anthropic's client brings it along anyway.
        "h11>=0.14",
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
        # `fluent-krone kafka`, `kafka-key` and `kafka-share`; 10 MB, with librdkafka in it.
        "kafka": ["confluent-kafka>=2.8"],
        # Models behind OpenAI's Chat Completions API: Ollama, vLLM, LM Studio.
        "openai": ["openai>=1.50"],
        "fuzz": ["atheris>=2.3"],
        # Chunks that Fluentd 1.19 or later sends with `compress zstd`.
        "zstd": ["zstandard>=0.22"],
        # Needed besides `export`.
        "test": [
            "argcomplete>=3",
            "confluent-kafka>=2.8",
            "hypothesis>=6.100",
            # The schemas of Kubernetes, for the manifests in deploy/.
            "kubernetes-validate>=1.35",
            "mypy>=1.13",
            "pandas>=2",
            "pytest>=8",
            "radon>=6",
            "ruff>=0.9",
            # A test examines what a build packs.
            "setuptools>=70.1",
            "zstandard>=0.22",
        ],
    },
    entry_points={"console_scripts": ["fluent-krone = fluent_krone.cli:main"]},
)
