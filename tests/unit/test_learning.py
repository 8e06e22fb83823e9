"""A service that learns its bundle on the stream: what it collects, fits, and takes over."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from service_rig import BAD, FIT_S, Receiver, at_seconds, run
from synthetic import NORMAL, OPEN, OPENED, T0, S

from export.fit import _EXTRA
from fluent_krone.cli import main
from fluent_krone.config import Config
from fluent_krone.errors import ConfigError
from fluent_krone.inputs import read_events
from fluent_krone.learning.bundles import BundleFolder, blank_bundle
from fluent_krone.learning.child import EXTRA
from fluent_krone.learning.counting import Seen, SessionCount
from fluent_krone.learning.learning import FITTING, Learning, open_learning
from fluent_krone.reading.records import InputSettings
from fluent_krone.runtime.wiring import is_taken_over, open_service
from fluent_krone.transport.forward import Chunk


class LearningRig:
    """A service over a directory of bundles that may be empty."""

    def __init__(self, path: Path, **config: Any) -> None:
        settings: dict[str, Any] = {"bundle": str(path), "learn": 86400.0, "idle_timeout": 60.0}
        self.config = Config(**settings | {"store": f"{path}.db"} | config)
        self.now = T0 + 100 * S
        self.receiver = Receiver()
        self.acked: list[str] = []
        self.folder = BundleFolder(path)
        self.folder.hold()
        self.learning = Learning(self.folder, self.config, clock_ns=lambda: self.now)
        self.service = open_service(
            blank_bundle(),
            self.receiver,
            self.config,
            learning=self.learning,
            clock_ns=lambda: self.now,
        )

    async def take(self, chunk_id: str, *entries: tuple[int, dict[bytes, Any]]) -> None:
        chunk = Chunk("app", [list(entry) for entry in entries], chunk_id)
        await self.service.take(chunk, lambda: self.acked.append(chunk_id))

    async def close(self) -> None:
        await self.service.close()
        self.folder.release()


async def until(what: Callable[[], bool]) -> None:
    while not what():
        await asyncio.sleep(0.02)


def rides(count: int, seed: int = 0) -> list[tuple[int, dict[bytes, Any]]]:
    """Normal rides, one after the other, by the lift's own words."""
    rng = random.Random(seed)
    found = []
    for number in range(count):
        keys = rng.choice(NORMAL[:3])
        for at, (_, record) in enumerate(at_seconds(f"r{seed}-{number}", keys)):
            found.append((T0 // S + 10 * number + at, record))
    return found


def later(
    events: list[tuple[int, dict[bytes, Any]]], seconds: int
) -> list[tuple[int, dict[bytes, Any]]]:
    return [(time + seconds, record) for time, record in events]


def put_bundle(path: Path, bundle: Path, name: str) -> None:
    """A directory whose learning has just written its bundle."""
    shutil.copytree(bundle, path / name)
    BundleFolder(path).use(name)
    (path / "learning").mkdir(exist_ok=True)
    (path / "learning" / "fit.json").write_text(f'{{"bundle": "{name}"}}')


def test_records_are_acked_once_they_are_in_the_spool(tmp_path: Path) -> None:
    async def story() -> None:
        rig = LearningRig(tmp_path / "b")
        await rig.service.start()
        await rig.take("1", *rides(3))
        await until(lambda: rig.acked == ["1"])
        await rig.take("1", *rides(3))
        await until(lambda: rig.acked == ["1", "1"])
        status = rig.service.learning()
        assert status is not None
        assert status.records == len(rides(3))
        assert "learning, 0 %" in rig.service.notes()
        await rig.close()
        found = [record[b"message"] for _, record in read_events(rig.learning.spool.collected)]
        assert found == [record[b"message"] for _, record in rides(3)]

    run(story, FIT_S)


@pytest.mark.parametrize("store", ["kept", "lost"])
def test_a_killed_service_goes_on_and_takes_no_chunk_twice(tmp_path: Path, store: str) -> None:
    async def story() -> None:
        rig = LearningRig(tmp_path / "b")
        await rig.service.start()
        await rig.take("1", *rides(2))
        await until(lambda: rig.acked == ["1"])
        await rig.close()
        if store == "lost":
            Path(f"{tmp_path / 'b'}.db").unlink()
        again = LearningRig(tmp_path / "b")
        await again.service.start()
        await again.take("1", *rides(2))
        await again.take("2", *rides(1, seed=1))
        await until(lambda: again.acked == ["1", "2"])
        status = again.service.learning()
        assert status is not None
        assert status.records == len(rides(2)) + len(rides(1, seed=1))
        await again.close()
        assert len(list(read_events(again.learning.spool.collected))) == status.records

    run(story, FIT_S)


def test_the_share_grows_with_the_clock_and_with_an_old_logs_own_time(tmp_path: Path) -> None:
    async def story() -> None:
        rig = LearningRig(tmp_path / "b", learn=1000.0)
        await rig.service.start()
        await rig.take("1", *rides(1))
        rig.now += 300 * S
        assert rig.learning.status().share == pytest.approx(0.3)
        # What comes later is stamped later.
        await rig.take("2", *later(rides(1), 500))
        # From the first record of the first chunk to the last one of the second.
        expected = (rides(1)[-1][0] + 500 - rides(1)[0][0]) / 1000
        assert rig.learning.status().share == pytest.approx(expected)
        await rig.close()

    run(story, FIT_S)


def test_one_record_of_the_far_future_does_not_end_the_learning() -> None:
    seen = Seen()
    far = T0 // S + 10**9
    for at in (T0 // S, far, T0 // S + 10):
        chunk = Chunk("app", [[at, {b"message": b"x"}]], "id")
        seen.note(chunk, at * S)
    assert seen.covered_s <= 3600


def test_an_old_log_counts_by_its_own_times_even_in_one_chunk() -> None:
    seen = Seen()
    entries = [[T0 // S + 60 * at, {b"message": b"x"}] for at in range(31)]
    assert seen.note(Chunk("app", entries, "id"), T0) == 31
    assert seen.covered_s == 1800
    assert seen.records == 31


def test_sessions_are_counted_by_key_and_pause() -> None:
    count = SessionCount(InputSettings(session_key=("ride",)), 60.0, 100)
    for at, key in ((0, b"a"), (1, b"b"), (2, b"a"), (100, b"a"), (101, None)):
        record = {b"message": b"x"} | ({b"ride": key} if key else {})
        count.note(Chunk("app", [[T0 // S + at, record]], "id"), T0)
    assert count.sessions == 3


def test_a_learnt_bundle_takes_over_open_sessions_and_what_came_during_the_fit(
    tmp_path: Path, bundle_dir: Path
) -> None:
    async def story() -> None:
        path = tmp_path / "b"
        rig = LearningRig(path)
        await rig.service.start()
        open_ride = later(at_seconds("open", NORMAL[1]), 200)
        bad = later(at_seconds("bad", BAD), 200)
        await rig.take("1", *at_seconds("learnt", BAD), *rides(20), *open_ride[:2])
        await until(lambda: rig.acked == ["1"])
        rig.learning.spool.freeze()
        await rig.take("2", *bad)
        await until(lambda: rig.acked == ["1", "2"])
        await rig.close()
        # The process is killed as soon as the bundle is there.
        put_bundle(path, bundle_dir, "1")

        again = LearningRig(path, on_shutdown="judge")
        await again.service.start()
        bundle = await again.service.bundle()
        assert bundle.name == "lift"
        assert again.service.learning() is None
        assert not rig.folder.learning.exists()
        await again.take("3", *open_ride[2:])
        await again.take("2", *bad)
        await until(lambda: again.acked == ["3", "2"])
        await again.service.flush()
        assert again.service.stats()["chunks_repeated"] == 1
        # The open ride is whole, so it is normal; the one that was learnt from is not judged.
        sessions = {tuple(alert.record["session"]) for alert in again.receiver.alerts}
        assert sessions == {("bad",)}
        assert is_taken_over(again.learning, again.config) is False
        await again.close()

    run(story, FIT_S)


def test_a_kill_behind_the_takeover_is_noticed_by_the_stores_note(
    tmp_path: Path, bundle_dir: Path
) -> None:
    async def story() -> None:
        path = tmp_path / "b"
        rig = LearningRig(path, on_shutdown="keep")
        await rig.service.start()
        await rig.take("1", *at_seconds("open", (OPEN, OPENED)))
        await until(lambda: rig.acked == ["1"])
        saved = tmp_path / "saved"
        shutil.copytree(rig.folder.learning, saved)
        await rig.close()
        put_bundle(path, bundle_dir, "1")
        armed = LearningRig(path, on_shutdown="keep")
        await armed.service.start()
        await armed.service.bundle()
        await armed.close()
        # As if the process had been killed before it could delete the spool.
        shutil.copytree(saved, rig.folder.learning)
        put_bundle_again = rig.folder.learning / "fit.json"
        put_bundle_again.write_text('{"bundle": "1"}')
        found = open_learning(armed.config)
        assert found is not None
        assert is_taken_over(found, armed.config)
        found.end()
        found.folder.release()
        assert open_learning(armed.config) is None

    run(story, FIT_S)


def test_a_full_disk_is_told_until_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = LearningRig(tmp_path / "b")
    chunk = Chunk("app", [list(entry) for entry in rides(3)], "1")

    def fails(file: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(os, "write", fails)
        rig.learning.take(chunk)
        [trouble] = rig.service.troubles()
    assert "neither learnt from nor judged" in trouble
    assert "No space left on device" in trouble
    rig.learning.take(chunk)
    assert rig.service.troubles() == []
    assert rig.learning.stats()["learning_left_out"] == len(rides(3))
    rig.folder.release()


def test_a_stream_without_a_session_key_is_told_and_collecting_goes_on(tmp_path: Path) -> None:
    async def story() -> None:
        path = tmp_path / "b"
        rig = LearningRig(path, learn=10.0)
        await rig.service.start()
        words = ("all is well", "still fine", "nothing new")
        lines = [
            (T0 // S + at, {b"message": words[at % 3].encode(), b"host": b"a"}) for at in range(300)
        ]
        await rig.take("1", *lines)
        rig.now += 20 * S
        await until(lambda: rig.learning.fits_failed == 1)
        [trouble] = rig.service.troubles()
        assert "no session key was found" in trouble
        assert "set session_key" in trouble
        assert rig.folder.current is None
        assert not rig.learning.spool.is_frozen
        await rig.take("2", *rides(1))
        await until(lambda: rig.acked == ["1", "2"])
        await rig.close()

    run(story, FIT_S)


@pytest.mark.parametrize("time_field", [None, "ts"])
def test_times_that_nobody_reads_are_told_while_it_is_learnt_from_others(
    tmp_path: Path, time_field: str | None
) -> None:
    async def story() -> None:
        rig = LearningRig(tmp_path / "b", time_field=time_field)
        await rig.service.start()
        for minute in range(60):
            at = b"2026-09-21T14:%02d:00Z" % minute
            await rig.take(str(minute), (T0 // S + 1, {b"message": b"ride began", b"ts": at}))
        told = [text for text in rig.service.troubles() if "set time_field ts" in text]
        assert len(told) == (time_field is None)
        await rig.close()

    run(story, FIT_S)


def test_a_stream_is_learnt_and_its_faults_are_found_from_then_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "fluent_krone.learning")

    async def story() -> None:
        path = tmp_path / "b"
        # Ends with the clock, as in a live stream; the session key is found in the stream.
        rig = LearningRig(path, learn=3600.0, idle_timeout=None, on_shutdown="judge")
        await rig.service.start()
        for number in range(10):
            await rig.take(str(number), *rides(40, seed=number))
        for number in range(3):
            failed = at_seconds(f"failed {number}", NORMAL[0])
            failed[-1][1][b"message"] = b"gate: the door failed to close"
            await rig.take(f"failed {number}", *failed)
        await until(lambda: len(rig.acked) == 13)
        rig.now += 3600 * S
        await until(lambda: rig.learning.phase == FITTING)
        bundle = await rig.service.bundle()
        # Nobody labels a stream: what may be a fault and is learnt as normal is logged.
        assert "lines that speak of a failure are learnt as normal" in caplog.text
        report = (rig.folder.path / str(rig.folder.current) / "report.html").read_text()
        assert "“gate: the door failed to close” (3 sessions)" in report
        assert bundle.input_settings.session_key == ("ride",)
        assert rig.folder.current is not None
        await rig.take("bad", *at_seconds("wrong", BAD))
        await rig.take("good", *at_seconds("right", NORMAL[0]))
        await until(lambda: len(rig.acked) == 15)
        await rig.service.flush()
        assert {tuple(a.record["session"]) for a in rig.receiver.alerts} == {("wrong",)}
        await rig.close()

    run(story, FIT_S)


def test_two_services_cannot_learn_into_one_directory(tmp_path: Path) -> None:
    config = Config(bundle=str(tmp_path / "b"), learn=60.0)
    first = open_learning(config)
    assert first is not None
    with pytest.raises(ConfigError, match="in use by another service"):
        open_learning(config)
    first.folder.release()


def test_nothing_is_kept_before_there_is_a_bundle(tmp_path: Path) -> None:
    path = tmp_path / "b"
    config = Config(bundle=str(path), learn=60.0, store=str(tmp_path / "db"), annotate=True)
    with pytest.raises(ConfigError, match="learn first"):
        open_learning(config)
    assert not path.exists()


def test_a_shipped_bundle_is_never_learnt_over() -> None:
    with pytest.raises(ConfigError, match="comes with the package"):
        open_learning(Config(bundle="hdfs", learn=60.0))


def test_where_there_is_a_bundle_nothing_is_learnt(bundle_dir: Path) -> None:
    assert open_learning(Config(bundle=str(bundle_dir), learn=60.0)) is None


def test_the_packages_of_a_fit_are_those_of_the_export() -> None:
    assert EXTRA == _EXTRA


def test_a_directory_with_other_files_is_not_learnt_into(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="holds other files"):
        open_learning(Config(bundle=str(tmp_path), learn=60.0))


def test_check_config_says_what_will_be_learnt_and_touches_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "b"
    assert main(["check-config", "--bundle", str(path), "--learn", "24h"]) == 0
    assert f"one is learnt into {path}" in capsys.readouterr().out
    assert not path.exists()
    assert main(["check-config", "--bundle", str(path), "--learn", "0"]) == 1
    assert "learn must be positive" in capsys.readouterr().err


def test_bundles_are_listed_swapped_and_rolled_back_by_command(
    tmp_path: Path, bundle_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "b")
    assert main(["bundles", "add", path, str(bundle_dir)]) == 0
    put_bundle(Path(path), bundle_dir, "2")
    capsys.readouterr()
    assert main(["bundles", "list", path]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert ["in use before" in line for line in listed] == [False, True]
    assert listed[0].startswith("2 ")
    assert listed[0].endswith("in use")
    assert main(["bundles", "rollback", path]) == 0
    assert BundleFolder(Path(path)).previous == "2"
    assert main(["bundles", "swap", path, "2"]) == 0
    assert BundleFolder(Path(path)).current == "2"
    assert main(["bundles", "swap", path, "3"]) == 1
    assert main(["bundles", "list", str(bundle_dir)]) == 1
    assert "is not a directory of bundles" in capsys.readouterr().err
