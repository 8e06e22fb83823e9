"""ONNX models on the CPU: one thread, no telemetry, no spinning, no arena."""

from __future__ import annotations

import os
from typing import Any

from ..errors import BundleError


def load_model(content: bytes, where: str) -> Any:
    """An onnxruntime session over a model's bytes.

    Raises BundleError when they are no model that onnxruntime can run. It is imported here, at the
    first model, so that programs without one do not pay its 0.1 s and 40 MB.
    """
    # Read at import: nothing may leave the machine.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    # onnxruntime's own exceptions share no base class.
    except Exception as error:
        reason = str(error).splitlines()[0][:200]
        raise BundleError(
            f"{where} is not an ONNX model that onnxruntime {onnxruntime.__version__} can run: "
            f"{reason}"
        ) from None
