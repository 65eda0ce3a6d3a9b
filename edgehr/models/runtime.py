"""Run networks in PyTorch as a runtime, so that checkpoints are evaluated by the code that serves artifacts."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from edgehr.card import ModelCard
from edgehr.errors import EdgehrError
from edgehr.files import sha256_file
from edgehr.models.build import load
from edgehr.models.heads.labels import ToLabels
from edgehr.models.network import name_outputs
from edgehr.runtimes.artifact import Artifact
from edgehr.runtimes.base import Runtime, Tensors, TensorSpec
from edgehr.tasks.base import Task


class TorchRuntime(Runtime):
    """Runs a network on the CPU in float32: the reference that conversions are compared with.

    Args:
        card: The model.
        path: Its checkpoint.
        threads: Threads of PyTorch (for the whole process); None leaves them.
    """

    backend = "torch"

    def __init__(self, card: ModelCard, path: Path, threads: int | None = None) -> None:
        if threads is not None and threads < 1:
            raise EdgehrError(f"threads must be at least 1, got {threads}")
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

    def _infer(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        with self._one_at_a_time, torch.inference_mode():
            image = np.require(inputs[self.inputs[0].name], requirements=["C", "W"])
            outputs = name_outputs(self.network(torch.from_numpy(image)), tuple(entry.name for entry in self.outputs))
        return {name: tensor.numpy() for name, tensor in outputs.items()}
