"""A fitted density as an ONNX model, and the proof that it says the same.

The graph takes a session's own columns only (`sparse_vector` of the detector), so its cost
follows the session, not the vocabulary. Where large numbers cancel, in a distance, it computes in
double precision.

    columns int64[K], values float32[K], missing_share float64
    → score float[1], bound float[1], nearest int64[≤ 5], nearest first,
      nearest_yet int64[≤ 5], the same where the session goes on
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from fluent_krone.core.hierarchy import Hierarchy
from fluent_krone.detect.budget import DECIMALS
from fluent_krone.detect.nested_aware import (
    MISSING_SHARE_YET,
    NEAREST_YET,
    NestedAware,
    NestedFiles,
)
from fluent_krone.errors import ExportError

from .train import BANDWIDTH, DensityModel, fit_density

# What onnxruntime 1.14, the oldest that is supported, already reads.
OPSET = 17
IR_VERSION = 8
# Normal sessions that the model names as nearest; evidence compares with the first, an LLM sees
# all.
NEAREST = 5
# Normal sessions on which the ONNX form is compared with the trained model.
_CHECKED = 300
# Relative and absolute difference that is allowed: outputs are float32.
_TOLERANCE = 1e-4


def fit_onnx(
    sessions: Sequence[Sequence[int]], hierarchy: Hierarchy, *, seed: int = 0
) -> tuple[DensityModel, bytes]:
    """The density of normal `sessions` (log keys), and as ONNX, checked against it; the same for
    the same seed.

    Raises ExportError when there is no session, or when the exported model differs.
    """
    model = fit_density(sessions, hierarchy, seed=seed)
    content = to_onnx(model)
    every_key = list(range(len(hierarchy.rows)))
    some = model.normal[:: max(1, len(model.normal) // _CHECKED)]
    check_onnx(content, model, [(), every_key, every_key[::-1] * 3, *some])
    return model, content


def to_onnx(model: DensityModel) -> bytes:
    """The model's bytes; the same model gives the same bytes."""
    prototypes = len(model.prototypes)
    constants: dict[str, NDArray[Any]] = {
        "weights": model.weights,
        # A row per column, so that each count of a session takes one look-up.
        "prototypes": np.ascontiguousarray(model.prototypes.T),
        "norms": model.norms,
        "log_prior": model.log_prior,
        "two_h_squared": np.array(2 * BANDWIDTH**2),
        "nothing": np.array(0.0),
        "minus_two": np.array(-2.0),
        "unseen_column": np.array([len(model.columns)]),
        "unseen_value": np.zeros(1, np.float32),
        "first": np.array([0]),
        "second": np.array([1]),
        "score_row": np.array(0),
        "share_yet": np.array(MISSING_SHARE_YET),
        "nearest_count": np.array([min(NEAREST, prototypes)]),
    }
    graph = helper.make_graph(
        _nodes(),
        "nested_aware",
        [
            helper.make_tensor_value_info("columns", TensorProto.INT64, ["K"]),
            helper.make_tensor_value_info("values", TensorProto.FLOAT, ["K"]),
            helper.make_tensor_value_info("missing_share", TensorProto.DOUBLE, []),
        ],
        [
            helper.make_tensor_value_info("score", TensorProto.FLOAT, [1]),
            helper.make_tensor_value_info("bound", TensorProto.FLOAT, [1]),
            *(
                helper.make_tensor_value_info(name, TensorProto.INT64, [min(NEAREST, prototypes)])
                for name in ("nearest", NEAREST_YET)
            ),
        ],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opset = helper.make_opsetid("", OPSET)
    proto = helper.make_model(
        graph, opset_imports=[opset], ir_version=IR_VERSION, producer_name="fluent-krone"
    )
    onnx.checker.check_model(proto, full_check=True)
    content: bytes = proto.SerializeToString(deterministic=True)
    return content


def _nodes() -> list[onnx.NodeProto]:
    node = helper.make_node
    return [
        # An empty session has no columns; the unseen one, at zero, stands in: sums over nothing
        # differ by runtime.
        node("Concat", ["columns", "unseen_column"], ["at"], axis=0),
        node("Concat", ["values", "unseen_value"], ["raw"], axis=0),
        # x[K] and the prototypes' p[K, P], in the weighted space
        node("Gather", ["weights", "at"], ["weight"]),
        node("Mul", ["raw", "weight"], ["x"]),
        node("Gather", ["prototypes", "at"], ["p"]),
        # ‖x - p‖² = ‖p‖² + ‖x‖² - 2 x·p, in double; what p has in columns that x lacks is in ‖p‖²
        # already
        node("Cast", ["x"], ["x_double"], to=TensorProto.DOUBLE),
        node("Cast", ["p"], ["p_double"], to=TensorProto.DOUBLE),
        node("Unsqueeze", ["x_double", "first"], ["x_row"]),
        node("MatMul", ["x_row", "p_double"], ["x_times_p"]),
        node("Mul", ["x_times_p", "minus_two"], ["cross"]),
        node("ReduceSumSquare", ["x_double"], ["x_norm"], keepdims=0),
        node("Add", ["norms", "x_norm"], ["both_norms"]),
        node("Add", ["cross", "both_norms"], ["rounded"]),
        node("Max", ["rounded", "nothing"], ["squared"]),
        # ‖(x - p)₊‖², what no later event takes back; nothing cancels here, and single precision
        # is twice as fast
        node("Unsqueeze", ["x", "second"], ["x_column"]),
        node("Sub", ["x_column", "p"], ["gap"]),
        node("Relu", ["gap"], ["excess"]),
        node("Mul", ["excess", "excess"], ["excess_squared"]),
        node("ReduceSum", ["excess_squared", "first"], ["certain_float"], keepdims=1),
        node("Cast", ["certain_float"], ["certain"], to=TensorProto.DOUBLE),
        # −ln Σ prior · exp(−squared / 2h²), of both at once
        node("Concat", ["squared", "certain"], ["both"], axis=0),
        node("Div", ["both", "two_h_squared"], ["cost"]),
        node("Sub", ["log_prior", "cost"], ["terms"]),
        node("ReduceLogSumExp", ["terms"], ["log_density"], axes=[1], keepdims=0),
        node("Neg", ["log_density"], ["minus_log"]),
        node("Cast", ["minus_log"], ["score_and_bound"], to=TensorProto.FLOAT),
        node("Gather", ["score_and_bound", "first"], ["score"]),
        node("Gather", ["score_and_bound", "second"], ["bound"]),
        # Nearest by distance alone (the likeliest normal session may be a common one that lies
        # far off), where what the session lacks counts less than what it has too much of: it may
        # have been cut short, or go on.
        node("Sub", ["squared", "certain"], ["lacking"]),
        node("Mul", ["lacking", "missing_share"], ["lacking_share"]),
        node("Add", ["certain", "lacking_share"], ["distance_rows"]),
        node("Gather", ["distance_rows", "score_row"], ["distances"]),
        node("Neg", ["distances"], ["closeness"]),
        node("TopK", ["closeness", "nearest_count"], ["nearest_closeness", "nearest"]),
        # A verdict asks for both, and a second run would cost four times as much as this.
        node("Mul", ["lacking", "share_yet"], ["lacking_yet"]),
        node("Add", ["certain", "lacking_yet"], ["distance_rows_yet"]),
        node("Gather", ["distance_rows_yet", "score_row"], ["distances_yet"]),
        node("Neg", ["distances_yet"], ["closeness_yet"]),
        node("TopK", ["closeness_yet", "nearest_count"], ["nearest_closeness_yet", NEAREST_YET]),
    ]


def nested_files(
    model: DensityModel,
    content: bytes,
    threshold: float = 0.0,
    band: tuple[float, float] = (0.0, 0.0),
) -> NestedFiles:
    """A density and its ONNX form as a bundle holds them, without anything about counts."""
    return NestedFiles(
        model=content,
        columns=list(model.columns),
        weights=model.weights.tolist(),
        normal=model.normal,
        threshold=threshold,
        band=band,
        decimals=DECIMALS,
    )


def check_onnx(content: bytes, model: DensityModel, sessions: Sequence[Sequence[int]]) -> None:
    """Raise ExportError unless the runtime's detector scores `sessions` as the trained model
    does.
    """
    runtime = NestedAware(model.hierarchy, nested_files(model, content))
    for log_keys in sessions:
        density = runtime.density(log_keys)
        got = (density.score, density.bound)
        expected = (model.score(log_keys), model.bound(log_keys))
        if not np.allclose(got, expected, rtol=_TOLERANCE, atol=_TOLERANCE):
            raise ExportError(
                f"BUG: the exported model scores a session {got}, the trained one {expected}: "
                "please report this"
            )
