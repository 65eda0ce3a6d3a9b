"""Run networks in PyTorch as a runtime, so that checkpoints are evaluated by the code that serves artifacts."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgehr.card import ModelCard
from edgehr.errors import EdgehrError
from edgehr.files import sha256_file
from edgehr.models.build import load
from edgehr.models.heads.labels import ToLabels
from edgehr.models.network import name_outputs
from edgehr.runtimes.artifact import MAX_THREADS, Artifact
from edgehr.runtimes.base import Runtime
from edgehr.runtimes.tensors import Tensors, TensorSpec
from edgehr.tasks.base import PartSpec, Task


class TorchRuntime(Runtime):
    """Runs a network on the CPU in float32: the reference that conversions are compared with.

    Args:
        card: The model.
        path: Its checkpoint.
        threads: Threads of PyTorch (for the whole process); None leaves them.
    """

    backend = "torch"

    def __init__(self, card: ModelCard, path: Path, threads: int | None = None) -> None:
        if threads is not None and not 1 <= threads <= MAX_THREADS:
            raise EdgehrError(f"threads must be 1 to {MAX_THREADS}, got {threads}")
        card = card.with_layout("nchw")
        self.network = load(card, path)
        if threads is not None:
            torch.set_num_threads(threads)
        self._one_at_a_time = threading.Lock()
        spec = card.input
        float32 = np.dtype(np.float32)
        returned = np.dtype(np.uint8) if isinstance(self.network.finish, ToLabels) else float32
        super().__init__(
            [TensorSpec(spec.name, (None, 3, spec.height, spec.width), float32)],
            [TensorSpec(name, (None, *shape), returned) for name, shape in Task.for_card(card).output_shapes().items()],
            path=path,
            artifact=Artifact(card, "fp32", sha256_file(path), {"torch": torch.__version__}),
            precision="fp32",
        )
        for name, part in Task.for_card(card).part_specs().items():
            self.parts[name] = TorchPart(self.network.parts[name], part, path)

    def _infer(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        with self._one_at_a_time:
            return _run(self.network, self, inputs)


class TorchPart(Runtime):
    """Runs a further network of a model, on any number of items.

    Args:
        network: The network.
        spec: What it takes and returns.
        path: The checkpoint, for messages.
    """

    backend = "torch"

    def __init__(self, network: nn.Module, spec: PartSpec, path: Path) -> None:
        self.network = network
        float32 = np.dtype(np.float32)
        super().__init__(
            [TensorSpec(spec.input, (None, *spec.shape), float32)],
            [TensorSpec(name, (None, *shape), float32) for name, shape in spec.outputs.items()],
            path=path,
            precision="fp32",
        )

    def _infer(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        return _run(self.network, self, inputs)


def _run(network: nn.Module, runtime: Runtime, inputs: Tensors) -> dict[str, NDArray[Any]]:
    with torch.inference_mode():
        array = np.require(inputs[runtime.inputs[0].name], requirements=["C", "W"])
        outputs = name_outputs(network(torch.from_numpy(array)), tuple(entry.name for entry in runtime.outputs))
    return {name: tensor.numpy() for name, tensor in outputs.items()}
