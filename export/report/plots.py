"""Plots of the report card as SVG, to be put into its page.

They need no library and no script. Their colours come from the page's style.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

# Width of a plot in its own units, which the page scales to the width of the screen.
WIDTH = 640
# Margins that hold the words of an axis, also on a phone, where the letters are larger.
_LEFT = 76
_RIGHT = 18
# Height of one histogram or curve, the space between two, and the space above the first.
_ROW = 92
_GAP = 48
_TOP = 44
# Scores at which the axis may have a mark. Those that would overlap are left out.
_TICKS = (-100, -10, 0, 1, 3, 10, 30, 100, 300, 1_000, 10_000, 100_000)
# Smallest distance between two marks, which is the width of a number with five digits.
_TICK_DISTANCE = 58
# The groups of scores: name → words.
GROUPS = {
    "normal": "normal sessions, held out",
    "fault": "the same sessions, each with one injected fault",
    "abnormal": "labelled abnormal",
}
# The curves of the data-efficiency plot: figure → words, colour.
CURVES = {
    "f1": ("F1", "abnormal"),
    "faults_mean": ("injected faults found", "fault"),
    "false_alarm_rate": ("false alarms", "normal"),
}


def bar(share: float, colour: str) -> str:
    """A bar for a table's cell. The number beside it is its text alternative."""
    return (
        f'<svg class="bar {colour}" viewBox="0 0 100 6" preserveAspectRatio="none" '
        'aria-hidden="true"><rect class="rail" width="100" height="6"/>'
        f'<rect class="fill" width="{100 * share:.1f}" height="6"/></svg>'
    )


def distributions(scores: Mapping[str, Any], alternative: str) -> str:
    """Histograms of several groups, one under the other, over the same scores.

    Heights are logarithmic, so that a single session is visible.
    """
    edges = scores["edges"]
    groups = scores["groups"]
    low = math.asinh(edges[0])
    high = math.asinh(edges[-1])

    def x(score: float) -> float:
        return _LEFT + (math.asinh(score) - low) / (high - low) * (WIDTH - _LEFT - _RIGHT)

    bottom = _TOP + len(groups) * (_ROW + _GAP) - 10
    height = bottom + 36
    parts = [_band(scores, x, bottom)]
    for i, group in enumerate(groups):
        base = _TOP + (i + 1) * (_ROW + _GAP) - 10
        parts.append(_histogram(group, edges, x, base))
    parts.append(_threshold(scores["threshold"], x, bottom))
    parts.append(_score_axis(edges, x, bottom))
    return _svg(height, alternative, parts)


def _band(scores: Mapping[str, Any], x: Callable[[float], float], bottom: float) -> str:
    if None in scores["band"]:
        return ""
    left, right = (max(min(x(edge), WIDTH - _RIGHT), _LEFT) for edge in scores["band"])
    return (
        f'<rect class="band" x="{left:.1f}" y="{_TOP - 12}" width="{right - left:.1f}" '
        f'height="{bottom - _TOP + 12:.1f}"/>'
    )


def _threshold(threshold: float | None, x: Callable[[float], float], bottom: float) -> str:
    if threshold is None:
        return ""
    at = x(threshold)
    # Near an edge the words stand on the inner side of the line.
    anchor = "middle"
    if at < WIDTH / 3:
        anchor = "start"
    elif at > 2 * WIDTH / 3:
        anchor = "end"
    return (
        f'<line class="mark" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP - 12}" y2="{bottom:.1f}"/>'
        f'<text class="strong" x="{at:.1f}" y="{_TOP - 20}" text-anchor="{anchor}">'
        f"threshold {threshold:.1f}</text>"
    )


def _histogram(
    group: Mapping[str, Any], edges: Sequence[float], x: Callable[[float], float], base: float
) -> str:
    most = math.log10(1 + max(max(group["counts"]), 9))

    def up(count: float) -> float:
        return math.log10(1 + count) / most * _ROW

    bars = "".join(
        f'<rect x="{x(a):.1f}" width="{max(x(b) - x(a) - 1, 1):.1f}" '
        f'y="{base - up(n):.1f}" height="{up(n):.1f}"/>'
        for a, b, n in zip(edges, edges[1:], group["counts"], strict=False)
        if n
    )
    step = 1
    if max(group["counts"]) > 2_000:
        # Every power of ten would be too close to the next one.
        step = 2
    ticks = [10**e for e in range(0, 8, step) if 10**e <= max(group["counts"])]
    grid = "".join(_grid(base - up(tick), f"{tick:,}") for tick in ticks)
    words = f"{GROUPS[group['name']]} ({group['sessions']:,})"
    return (
        f'<g class="axis">{grid}</g><g class="{group["name"]}">{bars}</g>'
        f'<line class="base" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{base}" y2="{base}"/>'
        f'<text class="strong" x="{_LEFT}" y="{base - _ROW - 10}">{escape(words)}</text>'
    )


def _grid(y: float, words: str) -> str:
    return (
        f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{words}</text>'
    )


def _score_axis(edges: Sequence[float], x: Callable[[float], float], bottom: float) -> str:
    shown: list[int] = []
    last = -math.inf
    for tick in _TICKS:
        if edges[0] <= tick <= edges[-1] and x(tick) - last >= _TICK_DISTANCE:
            shown.append(tick)
            last = x(tick)
    labels = "".join(
        f'<text x="{x(tick):.1f}" y="{bottom + 24:.1f}" text-anchor="middle">{tick:,}</text>'
        for tick in shown
    )
    return f'<g class="axis">{labels}</g>'


def curves(
    points: Sequence[Mapping[str, Any]], alternative: str, words: Callable[[str, float], str]
) -> str:
    """Each figure over the number of sessions fitted on, one plot under the other.

    Each plot has its own scale. `words` gives the text of a figure's value at each point.
    """
    named = [name for name in CURVES if any(point[name] is not None for point in points)]
    sizes = [math.log10(point["sessions"]) for point in points]
    low = min(sizes)
    # A single size would give a width of 0, by which nothing can be divided.
    span = max(max(sizes) - low, 1e-9)
    xs = [_LEFT + (size - low) / span * (WIDTH - _LEFT - _RIGHT - 50) for size in sizes]
    height = len(named) * (_ROW + _GAP) + 54
    parts = [
        _curve(points, name, xs, (i + 1) * (_ROW + _GAP) - 14, words)
        for i, name in enumerate(named)
    ]
    ticks = "".join(
        f'<text x="{at:.1f}" y="{height - 32}" text-anchor="middle">{point["sessions"]:,}</text>'
        for at, point in zip(xs, points, strict=True)
    )
    axis = (
        f'<text x="{WIDTH / 2}" y="{height - 8}" text-anchor="middle">'
        "normal sessions fitted on (logarithmic)</text>"
    )
    return _svg(height, alternative, [*parts, f'<g class="axis">{ticks}{axis}</g>'])


def _curve(
    points: Sequence[Mapping[str, Any]],
    name: str,
    xs: Sequence[float],
    base: float,
    words: Callable[[str, float], str],
) -> str:
    title, colour = CURVES[name]
    known = [
        (at, point[name]) for at, point in zip(xs, points, strict=True) if point[name] is not None
    ]
    high = max(value for _, value in known)
    low = 0.0
    if name == "f1":
        # F1 is near 1 everywhere: its scale begins a little below the lowest value.
        lowest = min(value for _, value in known)
        low = max(0.0, lowest - 0.5 * (high - lowest) - 0.01)
    span = max(high - low, 1e-9)

    def y(value: float) -> float:
        if high <= low:
            return base - 6
        up: float = (value - low) / span * (_ROW - 34)
        return base - 6 - up

    line = " ".join(f"{at:.1f},{y(value):.1f}" for at, value in known)
    dots = "".join(
        f'<circle cx="{at:.1f}" cy="{y(value):.1f}" r="4.5"/>'
        f'<text class="value" x="{at:.1f}" y="{y(value) - 11:.1f}" text-anchor="middle">'
        f"{words(name, value)}</text>"
        for at, value in known
    )
    return (
        f'<text class="strong" x="4" y="{base - _ROW - 12}">{escape(title)}</text>'
        f'<line class="base" x1="4" x2="{WIDTH - 4}" y1="{base}" y2="{base}"/>'
        f'<g class="{colour}"><polyline points="{line}"/>{dots}</g>'
    )


def _svg(height: float, alternative: str, parts: Sequence[str]) -> str:
    return (
        f'<svg class="plot" role="img" viewBox="0 0 {WIDTH} {height:.0f}" '
        f'aria-label="{escape(alternative)}">'
        f"{''.join(parts)}</svg>"
    )
