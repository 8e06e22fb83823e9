"""The tree over log keys, and how a session falls into Seqs."""

from __future__ import annotations

import pytest
from synthetic import ARRIVED, BYE, CLOSE, GOING, OPEN, OPENED, UNKNOWN, tree

from fluent_krone.core.hierarchy import Hierarchy, Leaf, is_none


@pytest.mark.parametrize(
    ("name", "none"),
    [("none", True), ("None_3", True), (" NONE ", True), ("", True), ("nonesuch", False)],
)
def test_steps_left_open(name: str, none: bool) -> None:
    assert is_none(name) is none


def test_nodes_are_numbered_per_layer_in_the_authors_order() -> None:
    rows = [
        Leaf("1", "none", "none", "none"),
        Leaf("2", "disk_io", "read", "ok"),
        Leaf("3", "bus", "send", "ok"),
        Leaf("4", "disk_io", "drop", "ok_1"),
        Leaf("5", "disk_io", "read", "bad"),
        Leaf("6", "disk_io", "none", "none"),
        Leaf("7", "disk_io", "none", "none"),
    ]
    names = {
        mode: [
            [tree.name(level, node) for node in tree.nodes(level)]  # type: ignore[arg-type]
            for level in ("entity", "action", "status")
        ]
        for mode in ("separate", "merged")
        for tree in [Hierarchy(rows, mode)]  # type: ignore[arg-type]
    }
    entities = ["none_2", "disk_0", "bus_1", "disk_0", "disk_0", "disk_0", "disk_0", "unknown_3"]
    statuses = ["none_6", "ok_0", "ok_5", "ok_2", "bad_1", "none_3", "none_4", "unknown_7"]
    assert names["separate"] == [
        entities,
        ["none_5", "read_0", "send_4", "drop_1", "read_0", "none_2", "none_3", "unknown_6"],
        statuses,
    ]
    assert names["merged"] == [
        entities,
        ["none_4", "read_0", "send_3", "drop_1", "read_0", "none_2", "none_2", "unknown_5"],
        statuses,
    ]


def test_actions_belong_to_their_entity() -> None:
    two = Hierarchy([Leaf("1", "disk", "write", "ok"), Leaf("2", "net", "write", "ok")])
    assert two.action_of[0] != two.action_of[1]


def test_two_unnamed_entities_are_never_one_even_when_actions_merge() -> None:
    rows = [Leaf("1", "none", "none", "none"), Leaf("2", "none", "none", "none")]
    for mode in ("separate", "merged"):
        nodes = Hierarchy(rows, mode)  # type: ignore[arg-type]
        assert nodes.entity_of[0] != nodes.entity_of[1]
        assert nodes.action_of[0] != nodes.action_of[1]


def test_words_for_an_operator() -> None:
    lift = tree()
    assert lift.words("entity", lift.entity_of[GOING]) == "lift"
    assert lift.words("action", lift.action_of[GOING]) == "lift move"
    assert lift.words("status", lift.status_of[GOING]) == "lift: going to floor <num>"
    assert {
        lift.words(level, lift.nodes(level)[BYE]) for level in ("entity", "action", "status")
    } == {"bye <*>"}
    assert {lift.words(level, lift.nodes(level)[UNKNOWN]) for level in ("entity", "action")} == {
        "unknown"
    }  # type: ignore[arg-type]
    assert lift.words("status", lift.status_of[UNKNOWN]) == "unknown"
    assert lift.steps(OPEN) == ("gate", "open", "asked")
    assert lift.steps(BYE) == (None, None, None)


def test_decompose() -> None:
    lift = tree()
    keys = [OPEN, OPENED, GOING, GOING, ARRIVED, CLOSE, OPEN]
    status, action, entity = lift.status_of, lift.action_of, lift.entity_of
    assert [(seq.level, seq.start, seq.end, seq.pattern) for seq in lift.decompose(keys)] == [
        ("status", 0, 2, (status[OPEN], status[OPENED])),
        ("status", 2, 5, (status[GOING], status[GOING], status[ARRIVED])),
        ("status", 5, 6, (status[CLOSE],)),
        ("status", 6, 7, (status[OPEN],)),
        ("action", 0, 2, (action[OPEN],)),
        ("action", 2, 5, (action[GOING],)),
        ("action", 5, 7, (action[CLOSE], action[OPEN])),
        ("entity", 0, 7, (entity[OPEN], entity[GOING], entity[OPEN])),
    ]


def test_an_empty_session_has_no_seqs() -> None:
    assert tree().decompose([]) == []
