"""Plots of the report card, as SVG to stand in its page: no library, no script, colours by the page's own style."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

WIDTH = 640
_LEFT, _RIGHT = 76, 18  # margins that hold the axis' words also on a phone, where they are larger
_ROW, _GAP, _TOP = 92, 48, 44
GROUPS = {  # of scores: name → words
    "normal": "normal sessions, held out",
    "fault": "the same with one injected fault",
    "abnormal": "labelled abnormal",
}
CURVES = {  # of the data-efficiency plot: figure → words, colour
    "f1": ("F1", "abnormal"),
    "faults_mean": ("injected faults found", "fault"),
    "false_alarm_rate": ("false alarms", "normal"),
}


def bar(share: float, colour: str) -> str:
    """A bar for a table's cell, of which the number beside it is the text alternative."""
    return (
        f'<svg class="bar {colour}" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="rail" width="100" height="6"/><rect class="fill" width="{100 * share:.1f}" height="6"/></svg>'
    )


def distributions(scores: Mapping[str, Any], alternative: str) -> str:
    """One histogram under the other, over the same scores; heights are logarithmic, so that single sessions show."""
    edges, groups = scores["edges"], scores["groups"]
    low, high = math.asinh(edges[0]), math.asinh(edges[-1])

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
    anchor = "start" if at < WIDTH / 3 else "end" if at > 2 * WIDTH / 3 else "middle"
    return (
        f'<line class="mark" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP - 12}" y2="{bottom:.1f}"/>'
        f'<text class="strong" x="{at:.1f}" y="{_TOP - 20}" text-anchor="{anchor}">threshold {threshold:.1f}</text>'
    )


def _histogram(
    group: Mapping[str, Any], edges: Sequence[float], x: Callable[[float], float], base: float
) -> str:
    most = math.log10(1 + max(max(group["counts"]), 9))

    def up(count: float) -> float:
        return math.log10(1 + count) / most * _ROW

    bars = "".join(
        f'<rect x="{x(a):.1f}" width="{max(x(b) - x(a) - 1, 1):.1f}" y="{base - up(n):.1f}" height="{up(n):.1f}"/>'
        for a, b, n in zip(edges, edges[1:], group["counts"], strict=False)
        if n
    )
    ticks = [
        10**e
        for e in range(0, 8, 2 if max(group["counts"]) > 2_000 else 1)
        if 10**e <= max(group["counts"])
    ]
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
    ticks = [
        tick
        for tick in (-100, -10, 0, 1, 3, 10, 30, 100, 300, 1_000, 10_000, 100_000)
        if edges[0] <= tick <= edges[-1]
    ]
    shown, last = [], -math.inf
    for tick in ticks:
        if x(tick) - last >= 58:
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
    """Each figure over the number of sessions fitted on, one plot under the other, each on its own scale.

    `words` writes a value of a figure; every point carries its own.
    """
    named = [name for name in CURVES if any(point[name] is not None for point in points)]
    sizes = [math.log10(point["sessions"]) for point in points]
    low, span = min(sizes), max(max(sizes) - min(sizes), 1e-9)
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
    axis = f'<text x="{WIDTH / 2}" y="{height - 8}" text-anchor="middle">normal sessions fitted on (logarithmic)</text>'
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
    low, high = min(v for _, v in known), max(v for _, v in known)
    low = 0.0 if name != "f1" else max(0.0, low - 0.5 * (high - low) - 0.01)
    span = max(high - low, 1e-9)

    def y(value: float) -> float:
        return base - 6 - (value - low) / span * (_ROW - 34) if high > low else base - 6

    line = " ".join(f"{at:.1f},{y(value):.1f}" for at, value in known)
    dots = "".join(
        f'<circle cx="{at:.1f}" cy="{y(value):.1f}" r="4.5"/>'
        f'<text class="value" x="{at:.1f}" y="{y(value) - 11:.1f}" text-anchor="middle">{words(name, value)}</text>'
        for at, value in known
    )
    return (
        f'<text class="strong" x="4" y="{base - _ROW - 12}">{escape(title)}</text>'
        f'<line class="base" x1="4" x2="{WIDTH - 4}" y1="{base}" y2="{base}"/>'
        f'<g class="{colour}"><polyline points="{line}"/>{dots}</g>'
    )


def _svg(height: float, alternative: str, parts: Sequence[str]) -> str:
    return (
        f'<svg class="plot" role="img" viewBox="0 0 {WIDTH} {height:.0f}" aria-label="{escape(alternative)}">'
        f"{''.join(parts)}</svg>"
    )
