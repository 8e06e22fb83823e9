"""A service that has the next bundle fitted: by a real child, on what it has recorded."""

from __future__ import annotations

import asyncio
import random
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from service_rig import BAD, FIT_S, at_seconds, run
from synthetic import NORMAL, S

from fluent_krone.cli import main
from fluent_krone.config import Config, from_strings, set_flags
from fluent_krone.errors import ConfigError
from fluent_krone.learning.bundles import BundleFolder
from fluent_krone.learning.refit import Refitting, open_refitting
from fluent_krone.transport.forward import Chunk


@pytest.fixture
def folder(tmp_path: Path, bundle_dir: Path) -> BundleFolder:
    """A directory of bundles with one that is in use."""
    folder = BundleFolder(tmp_path / "b")
    folder.add(bundle_dir)
    return folder


def config_of(folder: BundleFolder, **values: Any) -> Config:
    return Config(**{"bundle": str(folder.path), "refit_interval": 3600.0} | values)


def record(refitting: Refitting, rides: int) -> None:
    """Record rides of the last hour, some of them faulty."""
    rng = random.Random(0)
    began_s = int(time.time()) - 3600
    first = at_seconds("x", NORMAL[0])[0][0]
    for number in range(rides):
        keys = rng.choice(NORMAL[:3])
        if number % 100 == 50:
            keys = BAD
        shift = began_s - first + 3000 * number // rides
        entries = [[at + shift, event] for at, event in at_seconds(f"r{number}", keys)]
        refitting.recorder.take(Chunk("app", entries, str(number)), entries[0][0] * S)
    refitting.recorder.close()


async def refit_once(refitting: Refitting, swaps: list[bool]) -> None:
    """Run until the first refit has ended, whichever way."""
    task = asyncio.create_task(refitting.run(lambda: swaps.append(True)))
    while not refitting.stats()["refits"] and not refitting.stats()["fits_failed"]:
        await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_the_next_bundle_is_fitted_judged_and_asked_for(
    folder: BundleFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    async def story() -> None:
        ahead = [0.0]
        config = config_of(folder)
        refitting = Refitting(folder, config, clock=lambda: time.time() + ahead[0])
        record(refitting, 1500)
        before = folder.current
        ahead[0] = 3601.0
        await refit_once(refitting, [])
        assert refitting.stats()["fits_failed"] == 0, refitting.status().trouble
        names = [kept.name for kept in folder.bundles()]
        [candidate] = [name for name in names if name != before]
        status = refitting.status()
        assert folder.current == before
        assert status.candidate == candidate
        assert status.shadow is not None
        assert status.shadow["held_out"] > 200
        assert f"bundles swap {folder.path} {candidate}" in refitting.notes()[0]
        # It stays waiting over a restart, until somebody swaps it in.
        assert Refitting(folder, config).status().candidate == candidate
        folder.use(candidate)
        assert refitting.status().candidate is None
        assert main(["bundles", "list", str(folder.path)]) == 0
        assert "false alarms in 1,000" in capsys.readouterr().out
        # The next refit is an interval ahead, also for the next process.
        assert Refitting(folder, config).status().next_at_s > time.time() + 3600

    run(story, FIT_S)


@pytest.mark.parametrize("objections", [[], ["it is worse"]])
def test_auto_swaps_in_what_nothing_is_against(
    folder: BundleFolder, bundle_dir: Path, objections: list[str]
) -> None:
    before = folder.current
    assert before is not None
    shutil.copytree(bundle_dir, folder.path / "next")
    refitting = Refitting(folder, config_of(folder, refit="auto"))
    swaps: list[bool] = []
    outcome = {"bundle": "next", "shadow": {"objections": objections}}
    refitting._take(outcome, lambda: swaps.append(True))
    if objections:
        assert (folder.current, refitting.status().candidate) == (before, "next")
        assert swaps == []
    else:
        assert (folder.current, folder.previous) == ("next", before)
        assert refitting.status().candidate is None
        assert swaps == [True]


def test_an_interval_that_a_person_has_shortened_counts_from_the_next_start(
    folder: BundleFolder,
) -> None:
    Refitting(folder, config_of(folder, refit_interval=86_400.0))
    before = Refitting(folder, config_of(folder, refit_interval=86_400.0)).status().next_at_s
    after = Refitting(folder, config_of(folder, refit_interval=60.0)).status().next_at_s
    assert after < before - 80_000
    # A longer one counts from the next refit on.
    assert Refitting(folder, config_of(folder, refit_interval=600.0)).status().next_at_s == after


def test_a_refit_that_fails_leaves_the_bundle_and_is_told(folder: BundleFolder) -> None:
    async def story() -> None:
        refitting = Refitting(folder, config_of(folder), clock=lambda: time.time() + 3601.0)
        refitting._next_at_s = 0.0
        before = folder.current
        record(refitting, 20)
        await refit_once(refitting, [])
        assert refitting.stats()["fits_failed"] == 1
        assert folder.current == before
        assert [kept.name for kept in folder.bundles()] == [before]
        trouble = refitting.status().trouble
        assert trouble is not None
        assert "sessions to learn from" in trouble
        assert trouble in refitting.notes()[0]

    run(story, FIT_S)


def test_a_service_that_ends_takes_its_child_with_it(folder: BundleFolder) -> None:
    async def story() -> None:
        refitting = Refitting(folder, config_of(folder))
        refitting._next_at_s = 0.0
        record(refitting, 1500)
        task = asyncio.create_task(refitting.run(lambda: None))
        while not (folder.refit / "work").exists():
            await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        # The child is gone: its lock can be had, and no bundle comes any more.
        assert len(folder.bundles()) == 1
        assert refitting.stats()["refits"] == 0

    run(story, FIT_S)


def test_only_a_directory_of_bundles_is_refitted(folder: BundleFolder, bundle_dir: Path) -> None:
    assert open_refitting(Config(bundle=str(bundle_dir))) is None
    assert open_refitting(config_of(folder, refit="off")) is None
    first = open_refitting(config_of(folder))
    assert first is not None
    with pytest.raises(ConfigError, match="in use by another service"):
        open_refitting(config_of(folder))
    folder.release()


def test_old_bundles_make_room(folder: BundleFolder, bundle_dir: Path) -> None:
    first = folder.current
    assert first is not None
    for number in range(4):
        (folder.path / first).rename(folder.path / f"old{number}")
        (folder.path / first).mkdir()
        for file in bundle_dir.iterdir():
            (folder.path / first / file.name).write_bytes(file.read_bytes())
    folder.prune(2)
    assert [kept.name for kept in folder.bundles()] == [first, "old2", "old3"]


def test_flags_give_another_process_the_same_parameters() -> None:
    given = {
        "bundle": "b",
        "session_key": "tag,/req-[0-9a-f]{1,9}/",
        "idle_timeout": "90s",
        "refit_size": "64m",
        "metrics": "true",
        "false_alarms": "0.5",
        "unix_perm": "0640",
    }
    config = from_strings(given, "serve")
    flags = dict(flag.removeprefix("--").split("=", 1) for flag in set_flags(config, "serve"))
    again = from_strings({name.replace("-", "_"): text for name, text in flags.items()}, "serve")
    assert again == config
    secret = from_strings({"shared_key": "hidden"}, "serve")
    assert set_flags(secret, "serve") == []


def test_refit_by_hand_needs_a_directory_of_bundles(
    bundle_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["refit", "--bundle", str(bundle_dir)]) == 1
    assert "not a directory of bundles" in capsys.readouterr().err
