"""Bundles fitted to the simulated shop, and days of its log judged by them."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import checkout
from shop.formats import VARIANTS, Variant, write
from shop.traffic import Plan, Traffic, simulate

from fluent_krone.alerts.incidents import in_order
from fluent_krone.alerts.records import AlertMaker
from fluent_krone.config import Config
from fluent_krone.detect.bundle import Bundle, load_bundle
from fluent_krone.inputs import Event, read_events
from fluent_krone.types import Alert, Finding

# Records that are fed at a time.
_SLICE = 2_000


@dataclass(frozen=True)
class Day:
    """A day of the log: what is true of it, and where its lines are."""

    traffic: Traffic
    variant: Variant
    log: Path

    @cached_property
    def faulty(self) -> dict[str, str]:
        """Session → kind of fault; empty for a normal one."""
        return {self.variant.key_text(one.key): one.kind for one in self.traffic.requests}

    def slices(self, timezone: str | None = None) -> Iterator[list[Event]]:
        """The records, some at a time."""
        events = iter(read_events([str(self.log)], timezone))
        while some := list(itertools.islice(events, _SLICE)):
            yield some


@dataclass(frozen=True)
class Cell:
    """One variant of the log and one seed, with the bundle that was fitted to it."""

    name: str
    variant: Variant
    seed: int
    bundle: Bundle
    folder: Path

    def day(self, number: int, sessions: int, **plan: Any) -> Day:
        """A day that the bundle has never seen: each number is another one."""
        traffic = simulate(Plan(sessions=sessions, seed=self.seed + 1_000 * number, **plan))
        log = write(traffic, self.variant, self.folder / f"day{number}")
        return Day(traffic, self.variant, log)

    def alerts(
        self,
        day: Day,
        silences: Callable[[Alert], bool] | None = None,
        *,
        config: Config | None = None,
    ) -> list[tuple[Finding, Alert]]:
        """What is reported of a day; `silences` says whether marks cover an alert."""
        config = config or Config()
        engine = self.bundle.engine(config)
        maker = AlertMaker(self.bundle, config)
        if silences is not None:
            engine.silence_by(lambda finding: silences(maker.make(finding)))
        found: list[Finding] = []
        for some in day.slices(engine.reader.settings.timezone):
            found += in_order(engine.feed("shop", some, time.time_ns()))
        found += in_order(engine.finish())
        return [(finding, maker.make(finding)) for finding in found]


class Shop:
    """Fits a bundle for each variant and seed, once for all parts."""

    def __init__(
        self, folder: Path, variants: Sequence[str], seeds: Sequence[int], train: int, day: int
    ) -> None:
        self.day_sessions = day
        self._folder = folder
        self._variants = variants
        self._seeds = seeds
        self._train = train
        self._cells: dict[str, Cell] = {}

    def cells(self) -> Iterator[Cell]:
        """Every variant with every seed."""
        for letter in self._variants:
            for seed in self._seeds:
                yield self.cell(letter, seed)

    def cell(self, letter: str, seed: int) -> Cell:
        """A variant with a seed; its bundle is fitted the first time."""
        name = f"{letter}{seed}"
        if name not in self._cells:
            variant = VARIANTS[letter]
            folder = self._folder / name
            bundle = folder / "bundle"
            if not (bundle / "manifest.json").is_file():
                self._fit(variant, seed, folder, bundle)
            self._cells[name] = Cell(name, variant, seed, load_bundle(str(bundle)), folder)
        return self._cells[name]

    def _fit(self, variant: Variant, seed: int, folder: Path, bundle: Path) -> None:
        traffic = simulate(Plan(sessions=self._train, seed=seed))
        log = write(traffic, variant, folder / "normal")
        fit = [sys.executable, "-m", "export", "fit", "--input", str(log)]
        fit += ["--session-key", variant.session_key, "--output", str(bundle)]
        done = subprocess.run(fit, cwd=checkout.REPOSITORY, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"bench: the fit of {folder.name} failed: {done.stderr.strip()[-500:]}")
