"""Sources: what models are converted from, networks in PyTorch or finished ONNX graphs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx
from torch import nn

from edgehr.card import ModelCard
from edgehr.converters.onnx.export import export_graph, export_onnx
from edgehr.converters.onnx.graph import check_onnx, load_onnx, strip_traces
from edgehr.converters.onnx.half_weights import widen_weights
from edgehr.converters.onnx.rtmdet import cut_at_heads
from edgehr.errors import CheckpointError, EdgehrError
from edgehr.files import temporary_folder
from edgehr.models import Network
from edgehr.models.runtime import TorchRuntime
from edgehr.runtimes.base import Runtime
from edgehr.runtimes.onnx.runtime import OnnxRuntime
from edgehr.tasks.base import PartSpec, Task

# Published as graphs; there is no network of these in edgehr.models.
ONNX_ARCHITECTURES = ("rtmdet", "yolox", "yunet")


class Source(ABC):
    """A model before conversion, or a part of one.

    Attributes:
        name: What it is, in words.
        step: What `graph` does, as a stage of the report.
        tools: Packages whose versions an artifact records because of it.
        has_network: Whether it is a PyTorch network, which targets can rewrite.
        card: Its card, channels first; a part has that of the whole.
        reference: It, ready to run, with its parts: artifacts are compared with it.
        parts: Further graphs of the model, by name.
    """

    name = ""
    step = ""
    tools: tuple[str, ...] = ()
    has_network = False
    card: ModelCard
    reference: Runtime
    parts: Mapping[str, Source]

    @property
    def network(self) -> Network:
        """Return the network in PyTorch; raises EdgehrError for a model that comes as ONNX."""
        raise EdgehrError(f"{self.card.name} comes as {self.name}, not as a PyTorch network")

    @abstractmethod
    def graph(self, batch: int | None, network: nn.Module | None = None) -> Any:
        """Make its checked `onnx.ModelProto`; raises EdgehrError where it has none.

        Args:
            batch: For this number of images, or None for any.
            network: A rewritten form of its own network, to be exported in place of it.
        """


class TorchSource(Source):
    """A network of `edgehr.models` with a checkpoint in it."""

    name, step, tools, has_network = "PyTorch", "export to ONNX", ("torch",), True
    reference: TorchRuntime

    def __init__(self, card: ModelCard, weights: Path) -> None:
        self.card = card
        self.reference = TorchRuntime(card, weights)
        self.parts = {
            name: TorchPartSource(card, self.reference.parts[name], self.network.parts[name], part)
            for name, part in Task.for_card(card).part_specs().items()
        }

    @property
    def network(self) -> Network:
        """Return the network, in inference mode."""
        return self.reference.network

    def graph(self, batch: int | None, network: nn.Module | None = None) -> Any:
        """Export it."""
        return export_onnx(network or self.network, self.card, batch)


class TorchPartSource(Source):
    """A further network of a model. It has a batch of its own, whatever that of the images is, and no other forms."""

    name, step, tools = "PyTorch", "export to ONNX", ("torch",)

    def __init__(self, card: ModelCard, runtime: Runtime, network: nn.Module, spec: PartSpec) -> None:
        self.card, self.reference, self.parts = card, runtime, {}
        self._network, self._spec = network, spec

    def graph(self, batch: int | None, network: nn.Module | None = None) -> Any:
        """Export it."""
        taken, returned = (self._spec.input, self._spec.shape), list(self._spec.outputs)
        return export_graph(self._network, self.card.name, taken, returned, self._spec.batch)


class OnnxSource(Source):
    """ONNX files whose input and outputs are as their card says; one for any input size gets the card's.

    RTMDet's are cut where their heads end, unless they were.

    Args:
        card: The model.
        weights: The graph, or the first of several.
        parts: Files of further graphs, by name; what these take and return is known to the card's task alone.
        is_part: This is such a graph itself.

    Raises:
        CheckpointError: It is not an ONNX model, or of another input or output.
    """

    name, step = "the given ONNX", "check the graph"

    def __init__(
        self, card: ModelCard, weights: Path, parts: Mapping[str, Path] | None = None, *, is_part: bool = False
    ) -> None:
        self.card, self._path, self._is_part = card, weights, is_part
        try:
            self._model = load_onnx(weights)
        except EdgehrError as error:
            raise CheckpointError(str(error)) from None
        self._model = widen_weights(self._model)
        if not is_part:
            cut = card.architecture == "rtmdet" and [output.name for output in self._model.graph.output] != _names(card)
            self._model = cut_at_heads(self._model, card.outputs[0].name) if cut else self._model
            self._fix_size()
            self._check(with_outputs=not parts)  # of several graphs, the last one returns what the card says
            self.reference = self._run_cut() if cut else OnnxRuntime(weights)
        else:
            self.reference = OnnxRuntime(weights)
        self.parts = {name: OnnxSource(card, path, is_part=True) for name, path in (parts or {}).items()}
        self.reference.parts.update({name: part.reference for name, part in self.parts.items()})

    def graph(self, batch: int | None, network: nn.Module | None = None) -> Any:
        """Check it; there is no network to rewrite."""
        given = _shape(self._model.graph.input[0])[0]
        # One for any number of images can have a fixed one; what parts take is not images.
        if given is not None and given != batch and not self._is_part:
            raise EdgehrError(
                f"{self._path}: the number of images is part of the graph: convert it with --batch {given or 'dynamic'}"
            )
        model = onnx.ModelProto()
        model.CopyFrom(self._model)
        model.graph.name = self.card.name
        if given is None and batch is not None and not self._is_part:
            model = self._with_sizes(model, {0: batch})
        strip_traces(model)
        check_onnx(model)
        return model

    def _run_cut(self) -> OnnxRuntime:
        """Open the graph as it was cut, which is in no file."""
        with temporary_folder() as folder:
            path = folder / self._path.name
            onnx.save(self._model, path)
            return OnnxRuntime(path)  # reads all of it now

    def _fix_size(self) -> None:
        """Give the graph the card's input size, where it would take any, and its outputs the sizes that follow."""
        sides = [size for entry in self._model.graph.input[:1] for size in entry.type.tensor_type.shape.dim][2:]
        if any(side.HasField("dim_param") for side in sides):
            self._model = self._with_sizes(self._model, {2: self.card.input.height, 3: self.card.input.width})

    def _with_sizes(self, model: Any, sizes: Mapping[int, int]) -> Any:
        """Return a model whose input has these sizes, by dimension, where it would take any; inferred anew."""
        for axis, size in sizes.items():
            side = model.graph.input[0].type.tensor_type.shape.dim[axis]
            if not side.HasField("dim_value"):
                side.dim_value = size
        del model.graph.value_info[:]
        for entry in model.graph.output:
            for place, side in enumerate(entry.type.tensor_type.shape.dim):
                if (place or 0 in sizes) and side.HasField("dim_param"):
                    side.Clear()
        try:
            return onnx.shape_inference.infer_shapes(model, strict_mode=True)
        except Exception as error:  # the checker's errors share no public base class
            reason = str(error).strip().splitlines()[-1][:200]
            raise CheckpointError(f"{self._path}: cannot be fixed to the size of {self.card.name} ({reason})") from None

    def _check(self, *, with_outputs: bool) -> None:
        graph, spec = self._model.graph, self.card.input
        constants = {tensor.name for tensor in graph.initializer}
        inputs = [entry for entry in graph.input if entry.name not in constants]
        shapes = Task.for_card(self.card).output_shapes() if with_outputs else {}
        float32 = onnx.TensorProto.FLOAT
        found = [
            (entry.name, entry.type.tensor_type.elem_type, _shape(entry)[1:])
            for entry in (*inputs, *(graph.output if with_outputs else ()))
        ]
        expected = [
            (spec.name, float32, [3, spec.height, spec.width]),
            *((name, float32, list(shape)) for name, shape in shapes.items()),
        ]
        if found != expected:
            have, want = (
                "; ".join(f"{name} {shape}" for name, _, shape in tensors) or "nothing" for tensors in (found, expected)
            )
            raise CheckpointError(
                f"{self._path}: does not fit {self.card.name}: it has {have}, the card says {want}, all float32"
            )


def open_source(card: ModelCard, weights: Path) -> Source:
    """Load a checkpoint, of whichever kind the card's architecture comes in.

    Raises:
        CheckpointError: The file cannot be read or does not fit the card.
    """
    return OnnxSource(card, weights) if card.architecture in ONNX_ARCHITECTURES else TorchSource(card, weights)


def _names(card: ModelCard) -> list[str]:
    return [output.name for output in card.outputs]


def _shape(entry: Any) -> list[int | None]:
    """Read the dimensions of a graph's input or output; None where they are not fixed."""
    return [size.dim_value if size.HasField("dim_value") else None for size in entry.type.tensor_type.shape.dim]
