"""What the live page says of bundles."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from export.faults import KINDS
from fluent_krone.console.backend import shadow_in_words, shown_bundle
from fluent_krone.detect.bundle import load_bundle
from fluent_krone.detect.fault_words import FAULTS

DEMO = Path(__file__).parents[2] / "models" / "demo"


def test_each_kind_of_fault_that_is_injected_has_words() -> None:
    assert set(FAULTS) == set(KINDS)


def test_what_is_hardly_found_comes_first_and_in_words() -> None:
    bundle = replace(
        load_bundle(str(DEMO)),
        false_alarms=2.0,
        blind=("swap", "a later kind"),
        detection={
            "skip": {"2 in 1,000": 0.9, "20 in 1,000": 1.0},
            "swap": {"2 in 1,000": 0.125, "20 in 1,000": 0.5},
            "level": {"20 in 1,000": 1.0},
        },
    )
    shown = shown_bundle(bundle, "20261127T084856Z")
    assert shown["current"] == "20261127T084856Z"
    assert shown["blind"] == [FAULTS["swap"], "a later kind"]
    # Nothing is known of faults that were not measured for as many false alarms.
    assert list(shown["found"].items()) == [(FAULTS["swap"], "12 %"), (FAULTS["skip"], "90 %")]


def test_a_bundle_of_today_says_what_it_finds() -> None:
    assert set(shown_bundle(load_bundle(str(DEMO)), None)["found"]) <= set(FAULTS.values())
    assert shown_bundle(load_bundle(str(DEMO)), None)["found"]


def test_the_figures_of_a_candidate_are_words_and_shares() -> None:
    found = shadow_in_words({"found_live": 0.5, "new_alerts": 3, "unknown_figure": 1})
    assert list(found.values()) == [3, "50 %"]
