"""What is asked about a flagged session: templates only, and what may be doubted."""

from __future__ import annotations

from typing import Any

import pytest
from synthetic import (
    GOING,
    MESSAGES,
    NORMAL,
    OPEN,
    OPENED,
    T0,
    S,
    deviations,
    lift_engine,
    ride,
    step_judge,
)

from fluent_krone.alerts.records import AlertMaker
from fluent_krone.config import Config
from fluent_krone.demo.simulator import simulate, stream
from fluent_krone.detect.bundle import Bundle, load_bundle
from fluent_krone.explain import Case
from fluent_krone.explain.cases import CaseMaker
from fluent_krone.types import Finding

SECRET = "ward of Erika Mustermann, password=hunter2secret"


def findings(bundle: Bundle, messages: list[str]) -> list[Finding]:
    engine = bundle.engine()
    events = [
        (T0 + i * S, {b"message": text.encode(), b"ride": b"1"}) for i, text in enumerate(messages)
    ]
    found = engine.feed("app", events, T0 + 99 * S) + engine.finish()
    return [finding for finding in found if finding.kind == "sequence"]


def case_of(bundle: Bundle, finding: Finding, **options: Any) -> Case:
    config = Config(ledger="ledger", **options)
    case = CaseMaker(bundle, config).make(finding, AlertMaker(bundle, config).make(finding))
    assert case is not None
    return case


def test_no_raw_text_is_in_a_case_unless_lines_are_allowed(lift: Bundle) -> None:
    (finding,) = findings(lift, [MESSAGES[OPEN], MESSAGES[OPENED], SECRET])
    assert SECRET in AlertMaker(lift, Config()).make(finding).record["explanation"]
    assert "Mustermann" not in str(case_of(lift, finding))
    shown = str(case_of(lift, finding, explain_lines=True))
    assert "Mustermann" in shown
    assert "hunter2secret" not in shown


def test_a_line_is_redacted_before_it_is_cut(lift: Bundle) -> None:
    line = "x" * 490 + " key AKIAIOSFODNN7EXAMPLE"
    (finding,) = findings(lift, [MESSAGES[OPEN], MESSAGES[OPENED], line])
    assert "AKIAIOSF" not in str(case_of(lift, finding, explain_lines=True))


def test_sessions_are_alike_only_if_their_unknown_lines_are(lift: Bundle) -> None:
    maker = AlertMaker(lift, Config())

    def pattern(line: str) -> str:
        (finding,) = findings(lift, [MESSAGES[OPEN], line, MESSAGES[OPENED]])
        return str(maker.make(finding).record["pattern"])

    assert pattern("tick 17") == pattern("tick 18")
    assert pattern("tick 17") != pattern("FATAL: cable cut")


def test_what_patterns_or_counts_make_certain_is_not_doubtful() -> None:
    bundle = load_bundle("demo")
    live = simulate(300, 5)
    events = [
        (t, {k.encode(): v.encode() for k, v in record.items()}) for t, record in stream(live)
    ]
    engine = bundle.engine()
    found = engine.feed("demo", events, events[-1][0]) + engine.finish()
    assert bundle.clearing.counts_flag
    certain = [
        f for f in found if f.verdict and bundle.nested and not bundle.nested.has_counts(f.log_keys)
    ]
    assert certain
    assert not any(map(CaseMaker(bundle, Config()).is_doubtful, certain))


@pytest.mark.parametrize("keys", [NORMAL[1][:3], (OPEN, GOING, OPENED)])
def test_a_case_counts_through_its_own_templates(lift: Bundle, keys: tuple[int, ...]) -> None:
    (finding,) = findings(lift, [MESSAGES[key] for key in keys])
    case = case_of(lift, finding)
    assert [case.templates[i] for i in case.session] == [
        lift.templates[key] for key in finding.log_keys
    ]
    assert 0 <= case.start <= case.event < case.end <= len(case.session)


def test_a_step_that_deviates_is_a_case_where_it_may_lead_an_incident(lift: Bundle) -> None:
    engine = lift_engine(steps=step_judge())
    late = [(T0 + i * 40 * S, record) for i, (_, record) in enumerate(ride("1", NORMAL[1]))]
    [finding, *_] = deviations(engine.feed("app", late, T0 + 999 * S) + engine.finish())
    config = Config(ledger="ledger")
    alert = AlertMaker(lift, config).make(finding)
    case = CaseMaker(lift, config).make(finding, alert)
    assert case is not None
    assert case.pattern == alert.record["pattern"]
    assert case.evidence == finding.deviations[0].words
    assert case.event == finding.deviations[0].event and case.start <= case.event < case.end
    each = Config(ledger="ledger", alerts="session")
    assert CaseMaker(lift, each).make(finding, alert) is None
