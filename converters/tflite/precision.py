"""Lower precisions of a float32 `.tflite`, by `ai-edge-quantizer`."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.converters.quiet import quiet
from edgehr.converters.tflite.from_torch import SIGNATURE
from edgehr.errors import EdgehrError, first_line

THREADS = 4


def half_weights(content: bytes) -> bytes:
    """Weights as float16; delegates that compute in float16 take them as they are, others widen them once."""
    from ai_edge_quantizer import qtyping
    from ai_edge_quantizer.algorithm_manager import AlgorithmName
    from ai_edge_quantizer.recipe_manager import RecipeManager

    config = qtyping.OpQuantizationConfig(
        weight_tensor_config=qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT),
        compute_precision=qtyping.ComputePrecision.FLOAT,
        explicit_dequantize=True,
    )
    manager = RecipeManager()
    everything = qtyping.TFLOperationName.ALL_SUPPORTED
    manager.add_quantization_config(".*", everything, config, AlgorithmName.FLOAT_CASTING)
    return _apply(content, manager.get_quantization_recipe())


def dynamic_range(content: bytes) -> bytes:
    """Weights as INT8, one scale an output channel; activations are quantized while the model runs."""
    from ai_edge_quantizer import recipe

    return _apply(content, recipe.dynamic_wi8_afp32())


def full_integer(content: bytes, samples: Iterable[NDArray[np.float32]], input_name: str, *, integer_io: bool) -> bytes:
    """Weights and activations as INT8.

    Args:
        content: A float32 `.tflite`.
        samples: Calibration inputs, each of the model's input shape: the ranges of activations are theirs.
        input_name: Of the signature.
        integer_io: INT8 input and output; otherwise both stay float32, with the conversion inside the model.
    """
    from ai_edge_quantizer import qtyping, recipe
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
    return _apply(content, rules, [{input_name: sample} for sample in samples])


def _apply(content: bytes, recipe: Any, samples: list[dict[str, Any]] | None = None) -> bytes:
    from ai_edge_quantizer import quantizer

    with quiet(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the calibrator's own use of an experimental option
        try:
            work = quantizer.Quantizer(bytearray(content))
            work.load_quantization_recipe(recipe)
            ranges = None if samples is None else work.calibrate({SIGNATURE: samples}, num_threads=THREADS)
            result = work.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
        except (ValueError, RuntimeError, TypeError, KeyError) as error:
            raise EdgehrError(f"ai-edge-quantizer cannot quantize the model: {first_line(error)}") from error
    return bytes(result.quantized_model)
