"""PyTorch to ONNX."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import onnx_ir
import torch
from onnx_ir import convenience
from onnx_ir.passes import common as clean_up
from onnxscript import optimizer
from torch import nn

from edgehr.card import ModelCard
from edgehr.converters.onnx.graph import check_onnx, strip_traces
from edgehr.errors import EdgehrError
from edgehr.models.deploy.batch_norm import fold_batch_norm

# What TensorRT 8.6 and later, OpenVINO and ONNX Runtime all read, and the exporter's native opset.
OPSET = 18


def export_onnx(network: nn.Module, card: ModelCard, batch: int | None) -> Any:
    """Export a network with torch's dynamo exporter and check the graph.

    Args:
        network: In inference mode.
        card: Its card: input size and tensor names.
        batch: Images per inference, or None for any number.

    Returns:
        An `onnx.ModelProto` whose input and outputs are named as the card says.

    Raises:
        EdgehrError: The exporter or the checker refuses.
    """
    image = card.input.name, (3, card.input.height, card.input.width)
    return export_graph(network, card.name, image, [output.name for output in card.outputs], batch)


def export_graph(
    network: nn.Module, name: str, taken: tuple[str, tuple[int, ...]], returned: list[str], batch: int | None
) -> Any:
    """Export a network of one input.

    Args:
        network: In inference mode.
        name: Of the graph.
        taken: Name of the input, and shape of one item of it.
        returned: Names of the outputs.
        batch: Items per inference, or None for any number.

    Returns:
        An `onnx.ModelProto`.

    Raises:
        EdgehrError: The exporter or the checker refuses.
    """
    # The exporter specializes dimensions of size one, so a dynamic batch is traced with two.
    example = torch.zeros(batch or 2, *taken[1])
    dynamic = ({0: torch.export.Dim("batch")},) if batch is None else None
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside torch's own exporter
        try:
            program = torch.onnx.export(
                fold_batch_norm(network),
                (example,),
                dynamo=True,
                dynamic_shapes=dynamic,
                input_names=[taken[0]],
                output_names=returned,
                opset_version=OPSET,
                optimize=False,
                verbose=False,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            raise EdgehrError(f"torch cannot export {name}: {str(error).strip().splitlines()[0]}") from error
    if program is None:
        raise EdgehrError(f"torch exported nothing for {name}")
    _tidy(program.model)
    model = program.model_proto
    model.graph.name = name
    strip_traces(model)
    check_onnx(model)
    return model


def _tidy(model: onnx_ir.Model) -> None:
    """Fold what is constant and remove what is unused.

    The exporter's own optimization tries dozens of rewrites at each node besides. That takes a third of an export, and
    finds nothing in these networks that the simplifier after it would not.
    """
    clean_up.InlinePass()(model)
    optimizer.fold_constants(model)
    casts = [node for node in model.graph if node.op_type == "CastLike"]
    if casts:  # of weights of group norm, to the type of its data, which is theirs
        clean_up.ShapeInferencePass()(model)
        for node in casts:
            value, like = node.inputs
            if value is not None and like is not None and value.dtype is not None and value.dtype == like.dtype:
                convenience.replace_all_uses_with(node.outputs[0], value)
    clean_up.RemoveUnusedNodesPass()(model)
    clean_up.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    clean_up.RemoveUnusedOpsetsPass()(model)
