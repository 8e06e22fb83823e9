"""The density's fit: counts, weights and prototypes as they should be, in figures that can be
checked by hand.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx
import pytest
from synthetic import BYE, CLOSE, GOING, NORMAL, OPEN, STUCK, UNKNOWN, patterns_of, tree

from export import train
from export.to_onnx import check_onnx, nested_files, to_onnx
from export.train import BANDWIDTH, DensityModel, fit_density, tabulate
from fluent_krone.core.cascade import Cascade, Clearing
from fluent_krone.detect.local_context import LocalContext
from fluent_krone.detect.nested_aware import NestedAware, magnitude, nested_counts
from fluent_krone.errors import ExportError

SESSIONS = [NORMAL[0]] * 6 + [NORMAL[1]] * 10 + [NORMAL[2]] * 3 + [NORMAL[3]]


def by_hand(model: DensityModel, log_keys: tuple[int, ...]) -> float:
    """The score straight from its definition, over every column."""
    x = np.zeros(len(model.weights))
    unseen = 0.0
    for feature, count in nested_counts(log_keys, model.hierarchy).items():
        if feature in model.columns:
            x[model.columns[feature]] = magnitude(feature, count)
        else:
            unseen += magnitude(feature, count) ** 2
    x[-1] = math.sqrt(unseen)
    square = ((x * model.weights - model.prototypes) ** 2).sum(1)
    return -math.log(float((np.exp(model.log_prior) * np.exp(-square / (2 * BANDWIDTH**2))).sum()))


def detector(model: DensityModel, content: bytes) -> NestedAware:
    return NestedAware(model.hierarchy, nested_files(model, content))


def test_prototypes_are_the_distinct_sessions_with_their_shares() -> None:
    model = fit_density(SESSIONS, tree())
    assert model.normal == NORMAL
    assert np.exp(model.log_prior).tolist() == pytest.approx([6 / 20, 10 / 20, 3 / 20, 1 / 20])
    assert model.dropped == 0


def test_sessions_of_equal_counts_are_one_prototype() -> None:
    one, other = (OPEN, CLOSE, OPEN), (OPEN, OPEN, CLOSE, OPEN)
    swapped = (GOING, CLOSE, GOING), (GOING, CLOSE, GOING)
    model = fit_density([one, other, *swapped], tree())
    assert model.normal == [one, other, swapped[0]]
    table = tabulate([(OPEN, GOING, BYE), (BYE, GOING, OPEN)], tree())
    assert table.member.tolist() == [0, 0]


def test_the_score_follows_its_definition() -> None:
    model = fit_density(SESSIONS, tree())
    for log_keys in [*NORMAL, (), (STUCK,), (OPEN, STUCK, STUCK, BYE, UNKNOWN), (BYE,) * 50]:
        assert model.score(log_keys) == pytest.approx(by_hand(model, log_keys), rel=1e-5)


def test_what_normal_sessions_never_lack_weighs_less_than_what_few_have() -> None:
    model = fit_density(SESSIONS, tree())
    weight = {feature: float(model.weights[column]) for feature, column in model.columns.items()}
    assert weight["key", OPEN] < weight["key", GOING] < weight["key", BYE]
    n = len(SESSIONS)
    assert model.weights[-1] == pytest.approx(math.log(1 + n) + 0.5)
    # `open` is in every session, and no session differs in it from its nearest fellow
    assert weight["key", OPEN] == pytest.approx(0.5 * (1 + math.log(1 + n)))


def test_what_varies_between_fellows_weighs_less_than_what_does_not() -> None:
    steady = [(OPEN, CLOSE)] * 40
    restless = [(OPEN, CLOSE, *[GOING] * n) for n in range(1, 20)]
    weights = fit_density([*steady, *restless], tree())
    same = fit_density([*steady, *[(OPEN, CLOSE, GOING)] * 19], tree())
    varying, constant = (
        float(model.weights[model.columns["key", GOING]]) for model in (weights, same)
    )
    assert varying < constant


def test_established_neighbours_excuse_more_than_an_outlier() -> None:
    common, outlier = (OPEN, CLOSE), (BYE, BYE, BYE)
    model = fit_density([common] * 500 + [outlier], tree())
    assert model.score(common) < 0.01
    assert model.score(outlier) == pytest.approx(math.log(501), abs=0.01)


def test_nothing_to_train_on_is_told() -> None:
    with pytest.raises(ExportError, match="no normal session"):
        fit_density([], tree())
    with pytest.raises(ExportError, match="no normal session"):
        fit_density([()], tree())


def test_one_session_is_enough_for_a_model() -> None:
    model = fit_density([NORMAL[0]], tree())
    check_onnx(to_onnx(model), model, [NORMAL[0], (STUCK,), ()])
    assert model.score(NORMAL[0]) == pytest.approx(0.0)


def test_a_large_table_keeps_the_frequent_the_far_and_all_of_the_mass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(train, "MAX_PROTOTYPES", 6)
    crowd = [(OPEN, *[GOING] * n, CLOSE) for n in range(30, 60)]
    outlier = (BYE, STUCK, BYE, STUCK)
    sessions = [NORMAL[0]] * 50 + [NORMAL[1]] * 30 + crowd + [outlier]
    model = fit_density(sessions, tree())
    assert len(model.prototypes) == len(model.normal) == 6
    assert model.dropped == 33 - 6
    assert {NORMAL[0], NORMAL[1], outlier} <= set(model.normal)
    assert np.exp(model.log_prior).sum() == pytest.approx(1.0)
    assert np.exp(model.log_prior[model.normal.index(NORMAL[0])]) == pytest.approx(
        50 / len(sessions)
    )


def test_the_same_sessions_give_the_same_bytes() -> None:
    assert to_onnx(fit_density(SESSIONS, tree())) == to_onnx(fit_density(SESSIONS, tree()))


def test_the_model_is_pinned_to_what_old_runtimes_read() -> None:
    proto = onnx.load_from_string(to_onnx(fit_density(SESSIONS, tree())))
    assert proto.ir_version == 8
    assert [(opset.domain, opset.version) for opset in proto.opset_import] == [("", 17)]
    assert [one.name for one in proto.graph.input][:2] == ["columns", "values"]
    named = [one.name for one in proto.graph.output]
    assert named == ["score", "bound", "nearest", "nearest_yet"]


def test_a_model_without_the_sessions_nearest_yet_is_run_for_them() -> None:
    """Models of earlier versions are."""
    fitted = fit_density(SESSIONS, tree())
    proto = onnx.load_from_string(to_onnx(fitted))
    whole = detector(fitted, proto.SerializeToString())
    del proto.graph.output[-1]
    older = detector(fitted, proto.SerializeToString())
    for keys in ((OPEN,), (OPEN, GOING, GOING), (OPEN, GOING, STUCK, CLOSE), NORMAL[2][:-1]):
        for ended in (True, False):
            found = whole.density(keys, ended=ended).nearest
            assert found == older.density(keys, ended=ended).nearest
    assert sum(whole.latency.counts) < sum(older.latency.counts)


def test_an_exported_model_that_differs_is_refused() -> None:
    model = fit_density(SESSIONS, tree())
    other = fit_density([*SESSIONS, *[NORMAL[3]] * 50], tree())
    assert model.columns == other.columns
    check_onnx(to_onnx(model), model, NORMAL)
    with pytest.raises(ExportError, match="the exported model scores"):
        check_onnx(to_onnx(other), model, NORMAL)


def test_nearest_are_normal_sessions_nearest_first(tmp_path: Path) -> None:
    model = fit_density(SESSIONS, tree())
    detector = NestedAware(tree(), nested_files(model, to_onnx(model), 9.0, (8.0, 10.0)))
    for log_keys in NORMAL:
        nearest = detector.density(log_keys).nearest
        assert detector.normal[nearest[0]] == log_keys
        assert len(set(nearest)) == len(NORMAL)


def test_one_step_that_training_never_had_makes_a_session_abnormal_where_steps_are_judged() -> None:
    model = fit_density(SESSIONS, tree())
    far = {"density": 1_000.0, "counts": 1_000.0}
    lenient = detector(model, to_onnx(model)).at(far)
    strict = lenient.at(far | {"unseen": 0.0})
    seen = LocalContext(patterns_of(tree(), NORMAL))
    flags = Clearing(patterns_clear=False, counts_flag=True)
    for nested, expected in ((lenient, None), (strict, 3)):
        cascade = Cascade(tree(), seen, nested, flags)
        keys = (*NORMAL[2][:2], UNKNOWN, *NORMAL[2][2:])
        states = [cascade.tracker.replay(keys[: end + 1]) for end in range(len(keys))]
        decided = [end + 1 for end, state in enumerate(states) if state.decided]
        assert decided[:1] == [expected] * (expected is not None)
        verdict = cascade.at_end(states[-1], keys)
        assert (verdict is None) == (expected is None)
        assert cascade.at_end(cascade.tracker.replay(NORMAL[2]), NORMAL[2]) is None
