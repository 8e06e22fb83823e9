"""The report card as one HTML page, readable in dark mode and on a phone.

The page has no script and loads nothing. Every figure in it is in the report's JSON. Everything
that comes from a log is escaped, and the page's policy forbids scripts as well.

"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any

from fluent_krone.detect.fault_words import FAULTS

from . import plots
from .page_parts import fact_list, hidden_table, one_digit, percent, ratio, table, tree_section

Report = Mapping[str, Any]

_STYLE = "\n" + Path(__file__).with_name("page.css").read_text(encoding="utf-8")
_BASELINES = {
    "exact sequence": "training had the very same log keys in the same order",
    "bag of keys": "training had the same log keys, each as often, in any order",
    "unseen key": "training had every one of the log keys",
    "PCA on counts": "the counts of log keys lie near the principal components of training",
    "2-grams": "every two neighbouring log keys were neighbours in training",
    "2- to 6-grams": "every stretch of two to six log keys was in training",
}
_SECTIONS = {
    "data": "What the bundle was fitted on",
    "holdout": "How it judges sessions that it has not seen",
    "faults": "Which faults it finds",
    "scores": "Distribution of scores",
    "efficiency": "How much log it needs",
    "alerts": "Example alerts",
    "tree": "The tree",
}


def render_html(report: Report) -> str:
    """The page of a report, as `make_report` gives it or as read back from `report.json`."""
    body = {
        "data": _data(report),
        "holdout": _holdout(report),
        "faults": _faults(report),
        "scores": _scores(report),
        "efficiency": _efficiency(report),
        "alerts": _alerts(report),
        "tree": tree_section(report["tree"]),
    }
    there = {name: content for name, content in body.items() if content}
    links = "".join(f'<li><a href="#{name}">{_SECTIONS[name]}</a></li>' for name in there)
    sections = "".join(
        f'<section id="{name}" aria-labelledby="{name}-h"><h2 id="{name}-h">{_SECTIONS[name]}</h2>'
        f"{content}</section>"
        for name, content in there.items()
    )
    name = escape(report["name"])
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f'<meta name="color-scheme" content="light dark"><title>{name}: report card</title>'
        f"<style>{_STYLE}</style></head>"
        f'<body><header><p class="kind">fluent-krone · report card</p><h1>{name}</h1>'
        f"{_lead(report)}{_tiles(report)}</header>"
        f'{_warnings(report["warnings"])}<nav aria-label="Sections"><ul>{links}</ul></nav>'
        f"<main>{sections}</main></body></html>\n"
    )


# --- the first screen ---


def _lead(report: Report) -> str:
    data = report["data"]
    holdout = report["holdout"]
    fitted = f"{data['sessions']:,} sessions of {escape(report['source'])}"
    if holdout is None:
        return (
            f'<p class="lead">Fitted on {fitted}. '
            "There were too few normal sessions to judge it.</p>"
        )
    ours = holdout["methods"][0]
    judged = (
        f"{holdout['normal']:,} normal sessions that it had not seen, "
        f"it flags {ours['false_alarms']:,}"
    )
    if not holdout["abnormal"]:
        return f'<p class="lead">Fitted on {fitted}. Of {judged}.{_unlabelled(report)}</p>'
    return (
        f'<p class="lead">Fitted on {fitted}. It finds '
        f"<b>{ours['found']:,} of {holdout['abnormal']:,}</b> abnormal sessions; of {judged}.</p>"
    )


def _unlabelled(report: Report) -> str:
    if report["labelled"]:
        return ""
    return " There are no labels, so it is unknown how many real anomalies it finds."


def _tiles(report: Report) -> str:
    holdout = report["holdout"]
    if holdout is None:
        return ""
    ours = holdout["methods"][0]
    tiles = []
    if ours["f1"] is not None:
        tiles += [
            ("F1", ratio(ours["f1"]), f"best trivial rule {ratio(_best_trivial(holdout))}"),
            (
                "precision",
                ratio(ours["precision"]),
                f"{ours['found']:,} of {ours['found'] + ours['false_alarms']:,} alerts",
            ),
            ("recall", ratio(ours["recall"]), f"{ours['missed']:,} missed"),
        ]
    tiles.append(
        (
            "false alarms",
            percent(ours["false_alarm_rate"]),
            f"{ours['false_alarms']:,} of {holdout['normal']:,} sessions",
        )
    )
    if ours["f1"] is None:
        tiles += [
            (
                "injected faults found",
                percent(ours["faults_mean"]),
                f"mean of {len(ours['faults']):,} kinds",
            ),
            (
                "fitted on",
                f"{holdout['fitted']:,}",
                {"chronological": "earlier sessions", "random": "other sessions"}[holdout["kind"]],
            ),
            (
                "templates",
                f"{report['data']['templates']:,}",
                f"of {report['data']['entities']:,} entities",
            ),
        ]
    return (
        "<dl class=tiles>"
        + "".join(
            f"<div><dt>{term}</dt><dd>{value}</dd><dd class=small>{more}</dd></div>"
            for term, value, more in tiles
        )
        + "</dl>"
    )


def _best_trivial(holdout: Report) -> float:
    return max(float(method["f1"]) for method in holdout["methods"][1:])


def _warnings(warnings: Sequence[Mapping[str, str]]) -> str:
    if not warnings:
        return ""
    marks = {"warning": ("▲", "Warning"), "note": ("●", "Note")}
    items = "".join(
        f'<li class="{w["level"]}"><span aria-hidden="true">{marks[w["level"]][0]}</span>'
        f"<span><b>{marks[w['level']][1]}.</b> {escape(w['text'])}</span></li>"
        for w in warnings
    )
    return f'<aside aria-label="Warnings"><ul class="warnings">{items}</ul></aside>'


# --- sections ---


def _data(report: Report) -> str:
    data = report["data"]
    detector = report["detector"]
    length = data["length"]
    events = f"{data['events']:,}"
    if data["set_aside"]:
        aside = ", ".join(f"{n:,} {escape(reason)}" for reason, n in data["set_aside"].items())
        events += f"; set aside: {aside}"
    sessions = f"{data['sessions']:,}"
    if data["instances"] != data["sessions"]:
        sessions += f", cut into {data['instances']:,}"
    labels = "none"
    if report["labelled"]:
        labels = f"{data['abnormal']:,} abnormal, {data['normal']:,} normal"
    time = "no times"
    if span := data["span"]:
        time = f"{span['first']} to {span['last']} UTC ({span['length']})"
    lowest, highest = map(one_digit, detector["band"])
    facts = {
        "events": events,
        "sessions": sessions,
        "labels": labels,
        "events in a session": f"{length['shortest']:,} to {length['longest']:,}, "
        f"median {length['median']:,}",
        "time": time,
        "templates": f"{data['templates']:,}, of {data['entities']:,} entities; in normal training "
        f"{data['templates_once']:,} came only once, and {data['templates_never']:,} never",
        "threshold of the score of a whole session": one_digit(detector["threshold"]),
        "doubtful scores": f"{lowest} to {highest}",
    }
    settings = {
        f"<code>{escape(n)}</code>": f"<code>{escape(v)}</code>"
        for n, v in report["settings"].items()
    }
    return f'<div class="two">{fact_list(facts)}{fact_list(settings)}</div>'


def _holdout(report: Report) -> str:
    holdout = report["holdout"]
    if holdout is None:
        return ""
    share = percent(holdout["share"])
    how = {
        "chronological": f"The detector was fitted again, on the first {holdout['fitted']:,} "
        f"normal sessions, and judged on the {holdout['normal']:,} that began later ({share})",
        "random": f"The detector was fitted again, on {holdout['fitted']:,} normal sessions, and "
        f"judged on {holdout['normal']:,} others, drawn at random ({share})",
    }[holdout["kind"]]
    if holdout["abnormal"]:
        how += f" and on all {holdout['abnormal']:,} abnormal ones"
    labelled = holdout["methods"][0]["f1"] is not None
    heads = ["", "false alarms", "injected faults found"]
    if labelled:
        heads = ["", "F1", "missed", *heads[1:], "precision", "recall"]
    rows = [_method(row, labelled) for row in holdout["methods"]]
    rules = "".join(f"<li><b>{name}</b>: {text}</li>" for name, text in _BASELINES.items())
    return (
        f"<p>{how}. The other rows are six trivial rules on the same split, which do not use "
        "entities and actions. The top of the page says where one of them does as well.</p>"
        f"{table('Methods on the same split', heads, rows)}"
        "<details><summary>When a trivial rule considers a session normal</summary>"
        f"<ul>{rules}</ul></details>"
    )


def _method(row: Mapping[str, Any], labelled: bool) -> list[str]:
    name = escape(row["name"])
    if row["name"] not in _BASELINES:
        name = f"<b>{name}</b>"
    faults = percent(row["faults_mean"])
    if row["faults_mean"] is not None:
        faults += plots.bar(row["faults_mean"], "fault")
    false = f"{row['false_alarms']:,} <small>{percent(row['false_alarm_rate'])}</small>"
    if not labelled:
        return [name, false, faults]
    f1 = ratio(row["f1"])
    if row["f1"] is not None:
        f1 += plots.bar(row["f1"], "abnormal")
    missed = f"{row['missed']:,}"
    return [name, f1, missed, false, faults, ratio(row["precision"]), ratio(row["recall"])]


def _faults(report: Report) -> str:
    holdout = report["holdout"]
    detector = report["detector"]
    parts = [f"<p>{escape(detector['words'])}</p>"]
    if holdout and holdout["injected"]:
        heads = [
            "one fault in a held-out normal session",
            "made",
            *(escape(m["name"]) for m in holdout["methods"]),
        ]
        rows = [
            [
                _fault(kind),
                f"{made:,}",
                *(_heat(method["faults"][kind]) for method in holdout["methods"]),
            ]
            for kind, made in holdout["injected"].items()
        ]
        parts.append(table("Share of injected faults that is found, by kind", heads, rows))
        parts.append(
            "<p class=small>A rule that flags everything that differs finds every fault, at the "
            "cost of false alarms: compare this table with the one above. Faults that turn one "
            "normal session into another are left out.</p>"
        )
    if detector["detection"]:
        rules = list(detector["false_alarms"])
        heads = ["in held-out parts of the training", *(escape(rule) for rule in rules)]
        rows = [
            ["<i>false alarms</i>", *(percent(detector["false_alarms"][rule]) for rule in rules)]
        ]
        if detector["expected"]:
            expected = (percent(detector["expected"][rule]) for rule in rules)
            rows.append(["<i>expected of new sessions</i>", *expected])
        rows += [
            [_fault(kind), *(_heat(rates[rule]) for rule in rules)]
            for kind, rates in detector["detection"].items()
        ]
        grid = table("What is found for how many false alarms", heads, rows)
        parts.append(
            f"<details><summary>What more false alarms would find</summary>{grid}</details>"
        )
    return "".join(parts)


def _fault(kind: str) -> str:
    return f"{escape(kind.replace('_', ' '))} <small>{escape(FAULTS.get(kind, ''))}</small>"


def _heat(rate: float) -> str:
    return f'<span class="heat" style="--p:{round(100 * rate)}%">{percent(rate)}</span>'


def _scores(report: Report) -> str:
    scores = report["scores"]
    if scores is None:
        return ""
    names = ", ".join(plots.GROUPS[group["name"]] for group in scores["groups"])
    plot = plots.distributions(
        scores, f"Histograms of scores: {names}. The table below holds the figures."
    )
    edges = scores["edges"]
    heads = ["score from", "to", *(plots.GROUPS[group["name"]] for group in scores["groups"])]
    rows = [
        [f"{low:,.2f}", f"{high:,.2f}", *(f"{group['counts'][i]:,}" for group in scores["groups"])]
        for i, (low, high) in enumerate(pairwise(edges))
        if any(group["counts"][i] for group in scores["groups"])
    ]
    return (
        "<p>A score is the negative logarithm of a session's density among normal ones. Sessions "
        "to the right of the threshold are unlikely; scores in the grey band are doubtful. The "
        "height of a bar is the logarithm of the number of sessions.</p>"
        f"<figure>{plot}{hidden_table('Figures of the histograms', heads, rows)}</figure>"
    )


def _efficiency(report: Report) -> str:
    points = report["efficiency"]
    if len(points) < 2:
        return ""
    plot = plots.curves(
        points,
        "Quality over the number of sessions fitted on. The table below holds the figures.",
        _value,
    )
    labelled = points[-1]["f1"] is not None
    heads = [
        "share of normal sessions",
        "sessions",
        "draws",
        *["F1"] * labelled,
        "faults found",
        "false alarms",
    ]
    rows = [
        [
            *(percent(point["share"]), f"{point['sessions']:,}", f"{point['draws']:,}"),
            *[ratio(point["f1"])] * labelled,
            *(percent(point["faults_mean"]), percent(point["false_alarm_rate"])),
        ]
        for point in points
    ]
    return (
        "<p>The same detector, fitted on fewer normal sessions and judged on the same others. If a "
        "curve still rises at its right end, a longer log would improve the bundle.</p>"
        f"<figure>{plot}{hidden_table('Figures of the curves', heads, rows)}</figure>"
    )


def _value(name: str, value: float) -> str:
    if name == "f1":
        return ratio(value)
    return percent(value)


def _alerts(report: Report) -> str:
    if not report["alerts"]:
        return ""
    return (
        "<p>One alert of each sort, as the plugin would send it. Because the report is part of the "
        "bundle, session keys are hashed and raw lines are left out.</p>"
        + "".join(map(_alert, report["alerts"]))
    )


def _alert(example: Mapping[str, Any]) -> str:
    record = example["record"]
    label = ""
    if example["label"]:
        label = f' <span class="chip {example["label"]}">labelled {example["label"]}</span>'
    steps = " → ".join(
        f'<span class="{level}">{escape(str(record.get(level) or "?"))}</span>'
        for level in ("entity", "action", "status")
    )
    code = escape(json.dumps(record, ensure_ascii=False, indent=2))
    return (
        f'<article class="alert"><h3>{steps}{label}</h3>'
        f"<p>{escape(str(record.get('explanation', '')))}</p>"
        f"<details><summary>The record</summary><pre tabindex=0>{code}</pre></details></article>"
    )
