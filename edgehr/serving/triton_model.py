"""edgehr in Triton's Python backend: what the `model.py` that `export-repository --python` writes is made of.

Triton makes an object of `TritonPythonModel` for each instance, each in a process of its own.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.errors import EdgehrError
from edgehr.runtimes import Runtime, load
from edgehr.serving.repository import ServingSettings

_PROBE = (1.0, 2.0, 3.0)


class TritonPythonModel:
    """Runs a model as Triton's Python backend calls it."""

    def initialize(self, args: dict[str, str]) -> None:
        """Open the version of the model that Triton names.

        Raises:
            EdgehrError: It cannot be opened, or this backend does not work with the NumPy here.
        """
        self._library: Any = import_module("triton_python_backend_utils")  # there in Triton's processes only
        _check_numpy(self._library)
        folder = Path(args["model_repository"]) / args["model_version"]
        settings = ServingSettings.read(folder)
        self._batched = json.loads(args["model_config"]).get("max_batch_size", 0) > 0
        self._runtime: Runtime = load(folder / settings.file, threads=settings.threads)

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answer requests; where the model takes batches, all of them by one inference."""
        inputs = [self._inputs(request) for request in requests]
        if self._batched:
            return self._answer_together(inputs)
        return [self._answer(each) for each in inputs]

    def finalize(self) -> None:
        """Release the model."""
        self._runtime.close()

    def _inputs(self, request: Any) -> dict[str, NDArray[Any]]:
        names = [spec.name for spec in self._runtime.inputs]
        return {name: self._library.get_input_tensor_by_name(request, name).as_numpy() for name in names}

    def _answer(self, inputs: dict[str, NDArray[Any]]) -> Any:
        try:
            return self._response(self._runtime.infer(inputs))
        except EdgehrError as error:
            return self._refusal(error)

    def _answer_together(self, inputs: Sequence[dict[str, NDArray[Any]]]) -> list[Any]:
        counts = [len(next(iter(each.values()))) for each in inputs]
        together = {name: np.concatenate([each[name] for each in inputs]) for name in inputs[0]}
        try:
            outputs = self._runtime.infer(together)
        except EdgehrError as error:
            return [self._refusal(error) for _ in inputs]
        ends = np.cumsum(counts)
        return [
            self._response({name: array[end - count : end] for name, array in outputs.items()})
            for end, count in zip(ends, counts, strict=True)
        ]

    def _response(self, outputs: dict[str, NDArray[Any]]) -> Any:
        tensors = [self._library.Tensor(name, np.ascontiguousarray(array)) for name, array in outputs.items()]
        return self._library.InferenceResponse(output_tensors=tensors)

    def _refusal(self, error: EdgehrError) -> Any:
        return self._library.InferenceResponse(output_tensors=[], error=self._library.TritonError(str(error)))


def _check_numpy(library: Any) -> None:
    """Raise EdgehrError where this backend reads and writes arrays of the NumPy here wrongly, without a word.

    One that was built before NumPy 2 takes the size of an element from where NumPy 2 has it no more. It reads zeros, or
    the first number again and again, and answers with no bytes at all.
    """
    if np.lib.NumpyVersion(np.__version__) < "2.0.0":
        return
    told = library.Tensor.from_dlpack("probe", np.array(_PROBE, np.float32)).as_numpy()
    if told.tolist() != list(_PROBE):
        raise EdgehrError(
            f"this Python backend was built for NumPy 1: with NumPy {np.__version__} its tensors are empty: "
            "pip install 'numpy<2' for the Python that Triton uses"
        )
