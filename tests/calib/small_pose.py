"""Networks small enough to be quantized in a test, whose weights are named as those of real ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgehr.calib.dataset.calibration_set import CalibrationSet
from edgehr.calib.quantize import Calibration
from edgehr.calib.recipes import QDQRecipe, Recipe
from edgehr.card import ModelCard
from edgehr.tasks.base import Task
from edgehr.zoo import get_card

HEIGHT, WIDTH = 64, 64
CARD = get_card("litehrnet-18-coco-256x192").with_size(HEIGHT, WIDTH)
RECIPE = QDQRecipe("small", float_ends=True, equalize_crops=8, range_crops=8, fit_crops=8)
# Name of the weight, channels made, kernel, stride.
LAYERS = (
    ("backbone.stem.0", 8, 3, 2),
    ("backbone.stem.1", 8, 3, 1),
    ("backbone.stages.0.0.blocks.0.conv1", 16, 3, 2),
    ("backbone.stages.0.0.blocks.1.conv1", 16, 3, 1),
    ("backbone.stages.0.0.up.0.0", 16, 1, 1),
    ("head.final_layer", 17, 1, 1),
)
BLOCKS = ["stem", "stages.0.0.blocks.0", "stages.0.0.blocks.1", "stages.0.0.fuse.0"]


def small_pose() -> Any:
    """An `onnx.ModelProto`: image (1, 3, 64, 64) to heatmaps (1, 17, 16, 16), layers of very different channels."""
    return small_network(CARD)


def small_network(card: ModelCard, end: Sequence[tuple[str, dict[str, Any], NDArray[Any] | None]] = ()) -> Any:
    """An `onnx.ModelProto` of the same layers with as many outputs as a card has.

    Args:
        card: Its input is 64x64.
        end: Operators behind the last layer: type, attributes and constant input.
    """
    count, result = card.spec.num_outputs, card.outputs[0].name
    random = np.random.default_rng(0)
    nodes, constants, source, read = [], [], "image", 3
    for name, channels, kernel, stride in LAYERS:
        last = name == LAYERS[-1][0]
        made = count if last else channels
        rows = np.exp(random.uniform(-2, 2, (made, 1, 1, 1)))
        weight = rows * random.standard_normal((made, read, kernel, kernel)) / np.sqrt(read * kernel**2)
        constants.append(numpy_helper.from_array(weight.astype(np.float32), f"{name}.weight"))
        output = f"{name}.out" if not last or end else result
        sides = {"kernel_shape": [kernel] * 2, "pads": [kernel // 2] * 4, "strides": [stride] * 2}
        nodes.append(helper.make_node("Conv", [source, f"{name}.weight"], [output], f"node_{name}", **sides))
        if not last:
            nodes.append(helper.make_node("Relu", [output], [f"{name}.relu"], f"relu_{name}"))
        source, read = output if last else f"{name}.relu", made
    for kind, attributes, constant in end:
        inputs, output = [source], result if kind == end[-1][0] else f"{kind}.out"
        if constant is not None:
            constants.append(numpy_helper.from_array(constant, f"{kind}.constant"))
            inputs += ["", "", f"{kind}.constant"] if kind == "Resize" else [f"{kind}.constant"]
        nodes.append(helper.make_node(kind, inputs, [output], f"node_{kind}", **attributes))
        source = output
    (shape,) = Task.for_card(card).output_shapes().values()
    types = (TensorProto.FLOAT, TensorProto.UINT8 if result == "labels" else TensorProto.FLOAT)
    ends = [
        helper.make_tensor_value_info(name, kind, sizes)
        for kind, name, sizes in zip(types, ("image", result), ([1, 3, HEIGHT, WIDTH], [1, *shape]), strict=True)
    ]
    graph = helper.make_graph(nodes, "small", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model


def calibrated(crops: CalibrationSet, recipe: Recipe = RECIPE, card: ModelCard = CARD) -> Calibration:
    """What a small network is quantized with."""
    return Calibration(card, "ab" * 32, crops, recipe)
