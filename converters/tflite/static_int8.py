"""A float32 `.tflite` in INT8 throughout, by `ai-edge-quantizer`."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from edgehr.converters.quiet import quiet
from edgehr.converters.tflite.builder import SIGNATURE
from edgehr.errors import EdgehrError, first_line

THREADS = 4


def quantize_static(
    content: bytes, samples: Iterable[NDArray[np.float32]], input_name: str, *, integer_io: bool
) -> bytes:
    """Quantize weights and activations to INT8.

    Args:
        content: A float32 `.tflite`.
        samples: Calibration inputs, each of the model's input shape: the ranges of activations are theirs.
        input_name: Of the signature.
        integer_io: INT8 input and output; otherwise both stay float32, with the conversion inside the model.

    Raises:
        EdgehrError: The model has something that the quantizer does not take.
    """
    from ai_edge_quantizer import qtyping, quantizer, recipe
    from ai_edge_quantizer.algorithm_manager import AlgorithmName

    rules = recipe.static_wi8_ai8()
    if not integer_io:
        for operation in ("INPUT", "OUTPUT"):
            rules.append(
                {
                    "regex": ".*",
                    "operation": qtyping.TFLOperationName(operation),
                    "algorithm_key": AlgorithmName.NO_QUANTIZE,
                    "op_config": {},
                }
            )
    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the calibrator's own use of an experimental option
        try:
            work = quantizer.Quantizer(bytearray(content))
            work.load_quantization_recipe(rules)
            ranges = work.calibrate({SIGNATURE: [{input_name: sample} for sample in samples]}, num_threads=THREADS)
            result = work.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
        except (ValueError, RuntimeError, TypeError, KeyError) as error:
            raise EdgehrError(f"ai-edge-quantizer cannot quantize the model: {first_line(error)}") from error
    return bytes(result.quantized_model)
