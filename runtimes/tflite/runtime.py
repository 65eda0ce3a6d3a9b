"""Running `.tflite` files."""

from __future__ import annotations

import json
import logging
import platform
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from queue import LifoQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.errors import EdgehrError, first_line
from edgehr.notices import warn_once
from edgehr.runtimes import trial
from edgehr.runtimes.artifact import Artifact
from edgehr.runtimes.base import Runtime
from edgehr.runtimes.streams import usable_cores
from edgehr.runtimes.tensors import Tensors, TensorSpec
from edgehr.runtimes.tflite.container import allows_float16, read_artifact
from edgehr.runtimes.tflite.library import import_library
from edgehr.runtimes.tflite.model import TRIAL, Entry, InterpreterModel, Model, Quantization, open_model

_LOG = logging.getLogger("edgehr.runtimes")

# More threads do not make networks of this size faster on phones and boards.
MAX_THREADS = 4


class TFLiteRuntime(Runtime):
    """Runs `.tflite` files on LiteRT (`ai-edge-litert`) or `tflite-runtime`.

    Args:
        path: The model.
        device: ``auto`` and ``cpu`` are the CPU (XNNPACK); ``gpu`` and ``npu`` LiteRT's accelerators, with the CPU for
            what they do not take; ``edgetpu`` runs what Google's `edgetpu_compiler` made of a file; ``delegate:PATH``
            takes any delegate's shared library.
        threads: Threads of one inference; None is every core that the process may use, four at most.
        precision: Must be None: the precision is in the file.
        integers: Take and return the integers of a model with quantized input and output as they are; by default the
            runtime converts, and callers see float32.

    Raises:
        ArtifactError: The file is damaged, or the library does not load it.
        EdgehrError: The device is not there.
    """

    backend = "tflite"

    def __init__(
        self,
        path: Path,
        device: str = "auto",
        threads: int | None = None,
        precision: str | None = None,
        *,
        integers: bool = False,
    ) -> None:
        if precision is not None:
            raise EdgehrError("TFLite computes in the precision of the file: convert with --precision instead")
        data = path.read_bytes()
        self.library = import_library()
        if device == "edgetpu":  # its compiler has rewritten the file, into something that no CPU runs
            artifact = read_artifact(data, str(path), recompiled=True) or _source_artifact(path)
        else:
            artifact = read_artifact(data, str(path))
            if artifact is None:
                trial.try_in_child(path, str(self.library), TRIAL, [json.dumps(sys.path)])
        threads = threads or min(usable_cores(), MAX_THREADS)
        _LOG.debug("%s: %s with %d threads", path, self.library, threads)
        self._lock = threading.Lock()
        self._data = data  # the interpreter works in it
        device = device if ":" in device else device.lower()
        self._open = partial(open_model, path, data, self.library, device)
        self._model = self._open(threads)
        if artifact and artifact.precision == "int8" and self.library.name == "litert":
            _warn_without_xnnpack(path, self._model)
        ends = (*self._model.inputs, *self._model.outputs)
        self._quantization = {entry.name: entry.quantization for entry in ends if entry.quantization is not None}
        self._converted = {} if integers else self._quantization
        super().__init__(
            [self._spec(entry) for entry in self._model.inputs],
            [self._spec(entry) for entry in self._model.outputs],
            path=path,
            artifact=artifact,
            device=self._model.device,
            precision=self._arithmetic(artifact, allows_float16(data, str(path))),
            streams=threads if device in ("auto", "cpu") else 1,
        )

    @property
    def quantization(self) -> dict[str, Quantization]:
        """Return the quantization parameters of the model's inputs and outputs, by tensor; none of a float model."""
        return dict(self._quantization)

    def _arithmetic(self, artifact: Artifact | None, half_allowed: bool) -> str:
        """Say what is computed in; a CPU takes float16 as a way to store weights, unless it may and can do more."""
        stored = artifact.precision if artifact else ""
        on_cpu = self._model.device.lower().startswith("cpu")
        if stored == "fp16" and on_cpu and not (half_allowed and computes_in_float16()):
            return "fp32"
        return stored

    def _spec(self, entry: Entry) -> TensorSpec:
        dtype = np.dtype(np.float32) if entry.name in self._converted else entry.dtype
        return TensorSpec(entry.name, entry.shape, dtype)

    def _infer(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        with self._lock:
            return self._run(self._model, inputs)

    def _open_streams(self, count: int) -> Callable[[Tensors], dict[str, NDArray[Any]]]:
        free: LifoQueue[Model] = LifoQueue()
        for _ in range(count):
            free.put(self._open(1))

        def infer(inputs: Tensors) -> dict[str, NDArray[Any]]:
            model = free.get()
            try:
                return self._run(model, inputs)
            finally:
                free.put(model)

        return infer

    def _run(self, model: Model, inputs: Tensors) -> dict[str, NDArray[Any]]:
        fed = {
            name: self._converted[name].quantize(array) if name in self._converted else array
            for name, array in inputs.items()
        }
        try:
            outputs = model.run(fed)
        except (RuntimeError, ValueError) as error:
            raise EdgehrError(f"{self.library} failed: {first_line(error)}") from error
        return {
            name: self._converted[name].dequantize(array) if name in self._converted else array
            for name, array in outputs.items()
        }

    def _close(self) -> None:
        del self._model, self._open, self._data


def _warn_without_xnnpack(path: Path, model: Model) -> None:
    """Warn where LiteRT runs an INT8 file by itself: it then lets tensors share memory that others still read."""
    if isinstance(model, InterpreterModel) and not model.delegated:
        warn_once(
            "runtimes",
            f"{path}: this LiteRT runs without XNNPACK, and then gives wrong results for INT8 files: take another "
            "build, or a float model",
        )


def computes_in_float16() -> bool:
    """Tell whether XNNPACK finds half precision in this CPU: in Linux's list of features, or in any ARM of Apple."""
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    try:
        return "asimdhp" in Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return False


def _source_artifact(path: Path) -> Artifact | None:
    """Return the description of the file that `X_edgetpu.tflite` was compiled from, where `X.tflite` is beside it."""
    source = path.with_name(path.name.replace("_edgetpu", ""))
    return read_artifact(source.read_bytes(), str(source)) if source != path and source.is_file() else None
