"""`fluent-krone refit`: fit the next bundle of a directory to what a service has recorded."""

from __future__ import annotations

import argparse
import json
import random
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..background import run_as_child
from ..config import Config, from_flags
from ..core.listing import numbered
from ..detect.bundle import load_bundle
from ..errors import KroneError
from ..explain.knowledge import Knowledge
from ..explain.queue import ExplanationQueue
from ..learning.bundles import BundleFolder
from ..learning.child import check_extra, refit_options
from ..learning.refit import SHADOW, recording_of, reservoir_bytes, reservoir_of
from ..learning.reservoir import Reservoir
from ..learning.shadow import compare
from . import export
from .parser import Commands

# Sessions below which a bundle would know too little.
_FEWEST_SESSIONS = 100
# What is judged in the shadow, in seconds: the last day.
_SHADOW_S = 86_400.0


def add(commands: Commands) -> None:
    """Declare the command."""
    command = commands.add(
        "refit",
        run,
        "fit the next bundle of a directory of bundles, and judge it beside the one in use",
        parameters_of="serve",
    )
    # How a service runs it.
    command.add_argument("--child", action="store_true", help=argparse.SUPPRESS)


def run(flags: argparse.Namespace) -> int:
    """Fill the reservoir, fit, compare; the last line tells a program what came out."""
    config = from_flags(flags, "serve")
    folder = BundleFolder(Path(config.bundle))
    if folder.current is None:
        raise KroneError(
            f"bundle {folder.path} is not a directory of bundles: see `fluent-krone bundles add`"
        )
    check_extra("refit")
    work = folder.refit / "work"
    if flags.child:
        run_as_child(work)
    name = folder.new_name()
    _fit(config, folder, work, name)
    print(json.dumps(_judge(config, folder, name)))
    return 0


def _fit(config: Config, folder: BundleFolder, work: Path, name: str) -> None:
    """Fit a bundle of this name to the reservoir, after filling that anew."""
    bundle = load_bundle(config.bundle)
    reservoir = Reservoir(
        reservoir_of(folder), config.refit_sessions, reservoir_bytes(config), config.refit_interval
    )
    filled = reservoir.fill(
        recording_of(folder), bundle, config, _clearing(config), random.Random(time.time_ns())
    )
    print(
        f"refit: the training has {numbered(filled.sessions, 'session')} of "
        f"{numbered(filled.kinds, 'kind')}. Not part of it: {filled.flagged:,} that alerted, "
        f"{filled.cut:,} that are not whole, and {filled.held_out:,} that are held out to judge by",
        flush=True,
    )
    if filled.sessions < _FEWEST_SESSIONS:
        raise KroneError(
            f"only {numbered(filled.sessions, 'session')} to learn from, and {_FEWEST_SESSIONS} "
            "are needed: the next refit finds more"
        )
    # Nothing of an earlier fit is used again, since the reservoir is another one.
    for path in work.glob("*"):
        if path.name != "lock":
            path.unlink()
    code = export.run(
        [
            "fit",
            *("--input", str(reservoir.folder), "--work", str(work)),
            *("--output", str(folder.path / name), "--name", bundle.name),
            # The reservoir is a sample: it does not tell how often steps come in the stream.
            *("--usual-of", config.bundle),
            *refit_options(bundle, config),
        ]
    )
    if code:
        raise KroneError("the fit failed, see above")
    shutil.rmtree(work, ignore_errors=True)


def _judge(config: Config, folder: BundleFolder, name: str) -> dict[str, Any]:
    """The candidate's figures beside the bundle in use; they stay in its directory."""
    now_ns = time.time_ns()
    shadow = compare(
        load_bundle(config.bundle),
        load_bundle(str(folder.path / name)),
        recording_of(folder),
        config,
        _clearing(config),
        since_ns=now_ns - int(_SHADOW_S * 1e9),
        rng=random.Random(now_ns),
    )
    print(f"refit: {shadow.words}")
    for objection in shadow.objections:
        print(f"refit: against it: {objection}")
    figures = shadow.to_json()
    (folder.path / name / SHADOW).write_text(json.dumps(figures, indent=1) + "\n")
    return {"bundle": name, "shadow": figures}


def _clearing(config: Config) -> Callable[[Mapping[str, Any]], bool]:
    """Whether a person's mark clears an alert."""
    path = config.knowledge_path
    if path is not None and not path.exists():
        path = None
    return ExplanationQueue(Knowledge(path)).covers
