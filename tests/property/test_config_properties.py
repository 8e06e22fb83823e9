"""Literals: what is written is what is read, by us and by Fluentd."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from fluent_krone import config
from fluent_krone.config import parse_duration, parse_list, parse_size
from fluent_krone.errors import ConfigError

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@given(st.integers(0, 10**5), st.sampled_from(sorted(UNITS)))
def test_durations_with_a_unit(number: int, unit: str) -> None:
    assert parse_duration(f"{number}{unit}") == number * UNITS[unit]


@given(st.floats(0, 1e9))
def test_durations_in_seconds(seconds: float) -> None:
    assert parse_duration(repr(seconds)) == seconds


@given(st.text("0123456789.smhde+-_ ", max_size=8))
def test_fluentd_reads_what_we_accept_the_same(text: str) -> None:
    try:
        seconds = parse_duration(text)
    except ValueError:
        return
    for unit, factor in UNITS.items():  # Fluentd takes the first of these that is found anywhere
        if found := re.search(f"([0-9]+){unit}", text):
            assert seconds == int(found[1]) * factor
            return
    assert seconds == float(text)


@given(st.integers(0, 10**6), st.sampled_from(["", "k", "m", "g", "t", "K", "M"]))
def test_sizes(number: int, unit: str) -> None:
    assert parse_size(f"{number}{unit}") == number * 1024 ** " kmgt".index(unit.lower() or " ")


@given(st.sampled_from(config.params()), st.text(max_size=20))
def test_any_text_is_read_or_refused_by_name(parameter: object, text: str) -> None:
    name = parameter.name  # type: ignore[attr-defined]
    try:
        config.from_strings({name: text})
    except ConfigError as error:
        assert str(error).startswith(name)


def test_every_default_shown_is_read_back() -> None:
    for parameter in config.params():
        shown = config.show_default(parameter)
        if shown:
            made = config.from_strings({parameter.name: shown})
            assert getattr(made, parameter.name) == parameter.default


@given(st.lists(st.from_regex(r"\A(/([a-z{},]|\\/)+/|[a-z.$]+)\Z"), max_size=4))
def test_lists(items: list[str]) -> None:
    assert parse_list(",".join(items)) == tuple(items)
