"""What the next bundle is fitted to, and how it is judged beside the one in use."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from service_rig import BAD, at_seconds
from synthetic import NORMAL, OPEN, OPENED, T0, S, patterns_of, tree, write_lift_bundle

from fluent_krone.config import Config
from fluent_krone.detect.bundle import Bundle, load_bundle
from fluent_krone.inputs import read_events
from fluent_krone.learning.recorder import Recorder
from fluent_krone.learning.reservoir import Filled, Reservoir, is_held_out
from fluent_krone.learning.shadow import Shadow, compare
from fluent_krone.segments import read_frames
from fluent_krone.transport.forward import Chunk

DAY = 86_400.0
SIZE = 16 * 2**20


def names(count: int, prefix: str = "r", held_out: bool = False) -> list[str]:
    """Session keys that are, or are not, held out."""
    found: list[str] = []
    number = 0
    while len(found) < count:
        name = f"{prefix}{number}"
        number += 1
        if is_held_out((name.encode(),)) is held_out:
            found.append(name)
    return found


def record(recorder: Recorder, name: str, keys: Sequence[int], at_s: int) -> None:
    """Record one ride that begins at `at_s`."""
    entries = [[time + at_s, event] for time, event in at_seconds(name, keys)]
    recorder.take(Chunk("app", entries, name), T0 + (at_s + 10) * S)


def recorded(folder: Path, rides: Sequence[tuple[str, Sequence[int]]], **options: Any) -> Path:
    """A recording of these rides, one every 100 seconds, with a first and a last one around."""
    recorder = Recorder(folder, SIZE, DAY, **options)
    record(recorder, "first", NORMAL[0], 0)
    for at, (name, keys) in enumerate(rides, start=1):
        record(recorder, name, keys, 100 * at)
    record(recorder, "last", NORMAL[0], 100 * (len(rides) + 1))
    recorder.close()
    return folder


def never(record: Mapping[str, Any]) -> bool:
    return False


def filled(
    folder: Path, recording: Path, bundle: Bundle, most: int = 1000, **options: Any
) -> Filled:
    reservoir = Reservoir(folder, most, options.get("most_bytes", SIZE), DAY)
    is_cleared = options.get("is_cleared", never)
    return reservoir.fill(recording, bundle, Config(), is_cleared, random.Random(0))


def keys_in(folder: Path) -> set[str]:
    return {record[b"ride"].decode() for _, record in read_events(folder)}


def test_normal_sessions_are_kept_and_those_that_alert_are_not(
    tmp_path: Path, lift: Bundle
) -> None:
    good = names(5)
    held = names(2, held_out=True)
    rides = [(name, NORMAL[1]) for name in good + held] + [(names(1, "bad")[0], BAD)]
    recording = recorded(tmp_path / "recorded", rides)
    found = filled(tmp_path / "reservoir", recording, lift)
    assert keys_in(tmp_path / "reservoir") == set(good)
    assert (found.sessions, found.flagged, found.held_out) == (5, 1, 2)
    # The records of whole sessions, in the order of their times.
    times = [time_ns or 0 for time_ns, _ in read_events(tmp_path / "reservoir")]
    assert len(times) == 5 * len(NORMAL[1])
    assert times == sorted(times)


def test_a_session_whose_alerts_are_all_cleared_is_learnt_from(
    tmp_path: Path, lift: Bundle
) -> None:
    [bad] = names(1, "bad")
    recording = recorded(tmp_path / "recorded", [(bad, BAD)])
    filled(tmp_path / "reservoir", recording, lift, is_cleared=lambda record: True)
    assert keys_in(tmp_path / "reservoir") == {bad}


def test_sessions_across_a_gap_are_left_out(tmp_path: Path, lift: Bundle) -> None:
    before, behind, later = names(3)
    folder = tmp_path / "recorded"
    recorder = Recorder(folder, SIZE, DAY)
    record(recorder, "first", NORMAL[0], 0)
    record(recorder, before, (OPEN, OPENED), 200)
    recorder.close()
    recorder = Recorder(folder, SIZE, DAY)
    record(recorder, "x", NORMAL[0], 210)
    record(recorder, behind, NORMAL[0], 215)
    record(recorder, later, NORMAL[0], 400)
    record(recorder, "last", NORMAL[0], 600)
    recorder.close()
    filled(tmp_path / "reservoir", folder, lift)
    assert keys_in(tmp_path / "reservoir") == {later}


def test_filling_again_adds_to_what_is_there_and_doubles_nothing(
    tmp_path: Path, lift: Bundle
) -> None:
    one, two = names(2)
    recorded(tmp_path / "1", [(one, NORMAL[0])])
    recorded(tmp_path / "2", [(two, NORMAL[2])])
    folder = tmp_path / "reservoir"
    filled(folder, tmp_path / "1", lift)
    filled(folder, tmp_path / "2", lift)
    assert filled(folder, tmp_path / "2", lift).sessions == 2
    assert keys_in(folder) == {one, two}


def test_a_rare_kind_stays_among_many_sessions_of_another(tmp_path: Path, lift: Bundle) -> None:
    common = names(200)
    [rare] = names(1, "rare")
    rides = [(rare, NORMAL[2]), *((name, NORMAL[0]) for name in common)]
    recording = recorded(tmp_path / "recorded", rides)
    found = filled(tmp_path / "reservoir", recording, lift, most=20)
    assert found.sessions == 20
    assert found.kinds == 2
    assert rare in keys_in(tmp_path / "reservoir")


def test_the_reservoir_is_bounded_in_bytes(tmp_path: Path, lift: Bundle) -> None:
    rides = [(name, NORMAL[1]) for name in names(50)]
    recording = recorded(tmp_path / "recorded", rides)
    found = filled(tmp_path / "reservoir", recording, lift, most_bytes=2000)
    size = sum(path.stat().st_size for path in (tmp_path / "reservoir").iterdir())
    assert 0 < found.sessions < 50
    # Beside the records there are their times and the frames.
    assert size < 2 * 2000


def test_new_sessions_weigh_more_than_old_ones(tmp_path: Path, lift: Bundle) -> None:
    # A day is a hundredth of the way between these, and weights halve in seven days.
    old = names(100, "old")
    new = names(100, "new")
    folder = tmp_path / "recorded"
    recorder = Recorder(folder, SIZE, DAY)
    record(recorder, "first", NORMAL[0], 0)
    for at, name in enumerate(old):
        record(recorder, name, NORMAL[0], 100 * (at + 1))
    for at, name in enumerate(new):
        record(recorder, name, NORMAL[0], 21 * 86_400 + 100 * (at + 1))
    record(recorder, "last", NORMAL[0], 22 * 86_400)
    recorder.close()
    filled(tmp_path / "reservoir", folder, lift, most=60)
    kept = keys_in(tmp_path / "reservoir")
    # Three half-lives lie between them: an eighth of the weight.
    assert len(kept & set(new)) > 2 * len(kept & set(old))


def test_a_kill_between_the_renames_loses_no_reservoir(tmp_path: Path, lift: Bundle) -> None:
    [one] = names(1)
    folder = tmp_path / "reservoir"
    filled(folder, recorded(tmp_path / "1", [(one, NORMAL[0])]), lift)
    folder.rename(tmp_path / "reservoir.old")
    filled(folder, recorded(tmp_path / "2", []), lift)
    assert keys_in(folder) == {one}


def test_a_recording_is_bounded_and_covers_every_slot(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, SIZE, DAY)
    line = {b"message": b"x" * 100_000}
    for minute in range(2 * 24 * 60):
        arrived = T0 + minute * 60 * S
        recorder.take(Chunk("app", b"\x92\x00" + line[b"message"], "id"), arrived)
    recorder.close()
    assert recorder.size_bytes <= SIZE + 2**20
    assert recorder.size_bytes == sum(path.stat().st_size for path in tmp_path.iterdir())
    assert recorder.left_out > 0
    # The last day is there, and most of its hours.
    assert len(list(read_frames(tmp_path))) > 24


def shadow_of(live: Bundle, candidate: Bundle, folder: Path, since_s: int = 0) -> Shadow:
    return compare(
        live, candidate, folder, Config(), never, since_ns=T0 + since_s * S, rng=random.Random(0)
    )


def test_a_bundle_beside_itself_has_no_new_and_no_lost_alerts(tmp_path: Path, lift: Bundle) -> None:
    held = names(250, held_out=True)
    rides = [(name, NORMAL[1]) for name in held] + [("bad1", BAD), ("bad2", BAD)]
    shadow = shadow_of(lift, lift, recorded(tmp_path / "r", rides))
    assert (shadow.new_alerts, shadow.lost_alerts, shadow.common_alerts) == (0, 0, 2)
    assert shadow.sessions == 253
    assert shadow.found_live == shadow.found_candidate > 0.3
    assert shadow.objections == ()


def blind(bundle_dir: Path, patterns: Sequence[Sequence[int]]) -> Bundle:
    """A bundle with other normal sessions than the lift's."""
    bundle_dir.mkdir()
    write_lift_bundle(bundle_dir, patterns=patterns_of(tree(), patterns), golden=[])
    return load_bundle(str(bundle_dir))


def test_what_is_against_a_candidate_is_said(tmp_path: Path, lift: Bundle) -> None:
    held = names(250, held_out=True)
    rides = [(name, NORMAL[1]) for name in held] + [(f"bad{n}", BAD) for n in range(5)]
    recording = recorded(tmp_path / "r", rides)
    # It knows the fault and does not know the usual ride.
    other = blind(tmp_path / "blind", [BAD, NORMAL[0]])
    shadow = shadow_of(lift, other, recording)
    assert shadow.false_alarms == len(held)
    assert shadow.lost_alerts == 5
    objections = " ".join(shadow.objections)
    assert "held-out sessions that the bundle in use takes for normal" in objections
    assert "it misses 5 of 5 sessions that alerted" in objections


def test_few_sessions_are_no_ground_for_a_swap(tmp_path: Path, lift: Bundle) -> None:
    shadow = shadow_of(lift, lift, recorded(tmp_path / "r", [("a", NORMAL[0])]))
    assert "held-out sessions were recorded" in shadow.objections[0]


def test_only_what_came_since_is_judged(tmp_path: Path, lift: Bundle) -> None:
    rides = [("old", NORMAL[0]), ("new1", NORMAL[0]), ("new2", NORMAL[0])]
    recording = recorded(tmp_path / "r", rides)
    assert shadow_of(lift, lift, recording, since_s=150).sessions == 2


def test_about_a_fifth_is_held_out() -> None:
    share = sum(is_held_out((b"%d" % n,)) for n in range(2000)) / 2000
    assert 0.15 < share < 0.25
