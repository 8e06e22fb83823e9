"""The words of a report card: its warnings and notes, and its summary for a terminal."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from fluent_krone.core.listing import listed, numbered
from fluent_krone.detect.fault_words import FAULTS

from ..held_out import bounds_of
from .input import ReportInput, training_sessions
from .page_parts import percent, ratio

# With fewer normal sessions to fit on, rare but normal sequences are likely to be missing.
_FEW_FITTED = 500
# With fewer normal sessions to judge, one session more or less moves the rate by half a percent.
_FEW_HELD_OUT = 200
# Share of sessions that the session settings may cut before it is reported.
_CUT_SHARE = 0.05
# Share of records that may be set aside before it is reported.
_ASIDE_SHARE = 0.01
# Share of held-out normal sessions that may be flagged before it is reported.
_DRIFT = 0.01
# A kind of fault that is found less often than this is reported as going unnoticed.
_UNNOTICED = 0.1
# From this many times the number of false alarms that was asked for, a warning is given.
_BEYOND_ASKED = 2.0
# Shares of normal sessions that are flagged, and of injected faults that are found, count as equal
# where they differ by no more than this.
_EQUAL = 0.005


# What an operator can do about a kind of fault that is hardly found.
_REMEDIES = {
    "skip": "A missing step is hardly noticed, since normal sessions leave out steps as well: "
    "more false_alarms would find it.",
    "rework": "A step that is done twice is hardly noticed, since normal sessions repeat steps as "
    "well: more false_alarms would find it.",
    "swap": "Two steps in the wrong order are hardly noticed, since their order varies in normal "
    "sessions: a session_key or a tree that separates components would help.",
    "reverse": "Sessions that run backwards are hardly noticed: the order of steps varies too much "
    "in normal sessions for so few false alarms.",
    "truncated": "A session that breaks off is hardly noticed, since normal sessions end at many "
    "places.",
    "new_line": "A session with a new message is hardly noticed, since new messages come in normal "
    "sessions as well: each is reported once, by itself. A longer log would help.",
    "slow": "A slow step is hardly noticed, since the same step takes a very different time from "
    "session to session.",
    "pause": "A pause of an hour is hardly noticed, since normal sessions pause for as long.",
    "loop": "A loop that runs ten times as often is hardly noticed, since its number of rounds "
    "differs as much in normal sessions, or hardly any session of training has more than one.",
    "value": "A wrong value is hardly noticed: most values in the messages are ids, which are "
    "different every time. Templates whose wildcards hold one value each would help.",
}


def warnings_of(report: Mapping[str, Any], given: ReportInput) -> list[dict[str, str]]:
    """What an operator should know before trusting the figures."""
    serious = [
        *given.warnings,
        *_warn_of_data(report["data"], given),
        *_warn_of_figures(report["holdout"]),
        *_warn_of_budget(report["detector"], len(training_sessions(given))),
    ]
    return [
        *({"level": "warning", "text": text} for text in serious),
        *({"level": "note", "text": text} for text in _notes(report)),
    ]


def _warn_of_data(data: Mapping[str, Any], given: ReportInput) -> list[str]:
    said = []
    fitted = len({session.key for session in training_sessions(given)})
    if fitted < _FEW_FITTED:
        said.append(
            f"Only {fitted:,} normal sessions were available to learn from, so rare but normal "
            "sequences of steps will be flagged. Export a longer log."
        )
    if len({session.log_keys for session in given.sessions}) == 1:
        said.append(
            "All sessions have exactly the same steps, so there are no variants to learn from."
        )
    if data["instances"] - data["sessions"] > _CUT_SHARE * data["sessions"]:
        said.append(
            f"The session settings cut {data['sessions']:,} sessions into {data['instances']:,}: "
            "idle_timeout is too short, unless keys are used again for other executions."
        )
    if data["at_the_cap"]:
        said.append(f"Sessions that reached max_events and were cut there: {data['at_the_cap']:,}.")
    aside = sum(data["set_aside"].values())
    if data["records"] and aside > _ASIDE_SHARE * data["records"]:
        listed = ", ".join(f"{n:,} {reason}" for reason, n in sorted(data["set_aside"].items()))
        said.append(f"{aside:,} of {data['records']:,} records were set aside ({listed}).")
    if data["templates_once"]:
        said.append(
            f"{data['templates_once']:,} of {data['templates']:,} templates occur once in normal "
            "training. If they contain names or ids, mask these; otherwise export a longer log."
        )
    return said


def _warn_of_figures(holdout: Mapping[str, Any] | None) -> list[str]:
    if holdout is None:
        return [
            "There are too few normal sessions to hold some out, so nothing here shows how good "
            "the bundle's verdicts are."
        ]
    ours, *others = holdout["methods"]
    said = []
    better = [other["name"] for other in others if _compared(other, ours) == 1]
    if better:
        rules = "Trivial rules do" if len(better) > 1 else "A trivial rule does"
        said.append(
            f"{rules} better, as the table of methods shows: {', '.join(better)}. Export a longer "
            "log or, where faults matter more than false alarms, raise --false-alarms."
        )
    if holdout["normal"] < _FEW_HELD_OUT:
        said.append(
            f"Judged on only {holdout['normal']:,} normal sessions: a false-alarm rate from so few "
            "sessions is a rough estimate."
        )
    if ours["false_alarm_rate"] > _DRIFT:
        said.append(
            f"{percent(ours['false_alarm_rate'])} of the held-out normal sessions are flagged: the "
            "log changes over time, or there was too little of it to learn from."
        )
    return said


def _warn_of_budget(detector: Mapping[str, Any], sessions: int) -> list[str]:
    """More false alarms than were asked for, where the training cannot promise so few."""
    times = detector["expected_of_asked"]
    if times < _BEYOND_ASKED:
        return []
    expected = times * detector["asked"]
    least, most = (1000 * share for share in bounds_of(expected / 1000, sessions))
    return [
        f"About {expected:.1f} of 1,000 normal sessions are likely to be flagged, where "
        f"{detector['asked']:g} was asked for: {sessions:,} sessions do not show what so few of "
        f"them look like. In four of five logs it is between {least:.1f} and {most:.1f}. Export a "
        "longer log."
    ]


def _compared(one: Mapping[str, Any], other: Mapping[str, Any]) -> int | None:
    """1 where a method is better than another one, 0 where both are as good, else None.

    They are compared by F1 where there are labels. Without labels, the better method raises fewer
    false alarms or finds more injected faults, and is no worse in the other respect.
    """
    if one["f1"] is not None:
        lead = round(one["f1"], 3) - round(other["f1"], 3)
        if lead < 0:
            return None
        return int(lead > 0)
    if one["faults_mean"] is None:
        return None
    saved = other["false_alarm_rate"] - one["false_alarm_rate"]
    more = one["faults_mean"] - other["faults_mean"]
    if min(saved, more) < -_EQUAL:
        return None
    return int(max(saved, more) > _EQUAL)


def _notes(report: Mapping[str, Any]) -> list[str]:
    said = []
    holdout = report["holdout"]
    data = report["data"]
    if not report["labelled"]:
        said.append(
            "There are no labels. Held-out sessions are presumed normal, and it is unknown how "
            "many real anomalies are found."
        )
    elif holdout and not holdout["abnormal"]:
        said.append(
            "No session is labelled abnormal, so it is unknown how many real anomalies are found."
        )
    if data["failures"]:
        said.append(_failures_in_words(data["failures"]))
    if data["templates_never"]:
        templates = numbered(data["templates_never"], "template")
        said.append(f"Not in normal training, and so judged as unseen: {templates}.")
    if holdout is None:
        return said
    ours, *others = holdout["methods"]
    equals = [other["name"] for other in others if _compared(other, ours) == 0]
    if equals:
        said.append(
            f"A trivial rule does as well: {', '.join(equals)}. It sees only which steps come, and "
            "not their times, values and levels, and does not say which of them is odd."
        )
    if holdout["kind"] == "random":
        said.append(
            "Sessions have no times, so those held out are drawn at random. If the log changes "
            "over time, the figures are too good."
        )
    if holdout["sampled_from"]:
        said.append(
            f"Measured on a sample of the {holdout['sampled_from']:,} normal sessions, "
            "to save time."
        )
    faint = [kind.replace("_", " ") for kind, rate in ours["faults"].items() if rate < _UNNOTICED]
    if faint:
        said.append(
            "A single fault of these kinds in an ordinary session usually goes unnoticed: "
            f"{', '.join(faint)}."
        )
    said += [_REMEDIES[kind] for kind in report["detector"]["blind"] if kind in _REMEDIES]
    return said


def _failures_in_words(failures: Sequence[tuple[str, int]]) -> str:
    """What counts as normal although it speaks of a failure."""
    named = (f"“{template}” ({numbered(count, 'session')})" for template, count in failures)
    return (
        f"Learnt as normal, since the training has it: {listed(named)}. If that was a fault, name "
        "its sessions in --labels, or fit on a part of the log without it."
    )


def _found_table(detector: Mapping[str, Any]) -> list[str]:
    """Kind of fault × false alarms asked for: the share that is found."""
    columns = list(detector["false_alarms"])
    if not detector["detection"]:
        return []
    lines = ["which faults are found, by how many false alarms in 1,000 sessions are accepted:"]
    heads = "".join(f"{column.split()[0]:>8}" for column in columns)
    lines.append(f"  {'false_alarms':<26}{heads}")
    for kind, found in detector["detection"].items():
        shares = "".join(f"{found[column]:>8.0%}" for column in columns)
        lines.append(f"  {kind.replace('_', ' '):<26}{shares}   {FAULTS.get(kind, '')}")
    raised = "".join(f"{1000 * detector['false_alarms'][column]:>8.1f}" for column in columns)
    lines.append(f"  {'raised in training':<26}{raised}   of 1,000 normal sessions")
    if detector["expected"]:
        expected = "".join(f"{1000 * detector['expected'][column]:>8.1f}" for column in columns)
        lines.append(f"  {'expected of new sessions':<26}{expected}   of 1,000 normal sessions")
    return lines


def describe(report: Mapping[str, Any], said: Collection[str] = ()) -> str:
    """The report in a few lines, for a terminal, without the warnings that it shows already."""
    data = report["data"]
    holdout = report["holdout"]
    contents = (
        f"{data['events']:,} events, {data['sessions']:,} sessions, {data['templates']:,} templates"
    )
    if data["span"]:
        contents += f", {data['span']['length']} from {data['span']['first']} UTC"
    lines = [contents]
    if holdout:
        lines.append(_split_in_words(holdout))
        lines += _table(holdout["methods"])
    lines += _found_table(report["detector"])
    lines += [
        f"{entry['level']}: {entry['text']}"
        for entry in report["warnings"]
        if entry["text"] not in said
    ]
    return "\n".join(lines) + "\n"


def _split_in_words(holdout: Mapping[str, Any]) -> str:
    """On which sessions the methods of the table were fitted, and on which they were tried."""
    fitted = f"the first {holdout['fitted']:,} normal sessions"
    judged = f"the {holdout['normal']:,} later ones"
    if holdout["kind"] == "random":
        fitted = f"{holdout['fitted']:,} normal sessions, drawn at random"
        judged = f"the {holdout['normal']:,} others"
    if holdout["abnormal"]:
        judged += f" and on {holdout['abnormal']:,} abnormal ones"
    return (
        "compared with trivial rules by faults in steps, since they see nothing else; each is "
        f"fitted on {fitted}, and tried on {judged}:"
    )


def _table(methods: Sequence[Mapping[str, Any]]) -> list[str]:
    labelled = methods[0]["f1"] is not None
    head = f"  {'':<16}{'false alarms':>18}{'faults found':>14}"
    if labelled:
        head += f"{'F1':>8}{'precision':>11}{'recall':>8}{'missed':>8}"
    lines = [head]
    for row in methods:
        false = f"{row['false_alarms']:,} ({percent(row['false_alarm_rate'])})"
        line = f"  {row['name']:<16}{false:>18}{percent(row['faults_mean']):>14}"
        if labelled:
            line += f"{ratio(row['f1']):>8}{ratio(row['precision']):>11}"
            line += f"{ratio(row['recall']):>8}{row['missed']:>8,}"
        lines.append(line)
    return lines
