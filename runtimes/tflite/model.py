"""A `.tflite` in a library: its tensors, and running it once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgehr.errors import ArtifactError, EdgehrError, first_line
from edgehr.runtimes.tensors import Tensors
from edgehr.runtimes.tflite.library import Library, import_library, load_delegate

ACCELERATORS = ("gpu", "npu")
# Does once all that is done with a file later, see `edgehr.runtimes.trial`: any of it may crash on a damaged one.
TRIAL = """
import json, sys
sys.path[:] = json.loads(sys.argv[2])
from edgehr.runtimes.tflite.model import try_model
try_model(sys.argv[1])
"""


@dataclass(frozen=True)
class Quantization:
    """How integers stand for real values: real = (integer - zero_point) * scale."""

    scale: float
    zero_point: int
    dtype: np.dtype[Any]

    def quantize(self, array: NDArray[Any]) -> NDArray[Any]:
        """Real values to integers, rounded and clipped."""
        limits = np.iinfo(self.dtype)
        scaled: NDArray[np.float32] = np.multiply(array, np.float32(1 / self.scale), dtype=np.float32)
        np.rint(scaled, out=scaled)
        scaled += self.zero_point
        return np.clip(scaled, limits.min, limits.max, out=scaled).astype(self.dtype)

    def dequantize(self, array: NDArray[Any]) -> NDArray[Any]:
        """Convert integers to float32."""
        real: NDArray[Any] = array.astype(np.float32)
        real -= self.zero_point
        real *= np.float32(self.scale)
        return real


@dataclass(frozen=True)
class Entry:
    """An input or output.

    Attributes:
        name: In the file's signature; the tensor's own name where there is no signature.
        index: The interpreter's number of the tensor.
        shape: Its dimensions.
        dtype: Its NumPy type in the file.
        quantization: Set where that type stands for real values.
    """

    name: str
    index: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    quantization: Quantization | None

    @classmethod
    def of(cls, name: str, details: dict[str, Any]) -> Entry:
        """Read the parameters from what the interpreter says of a tensor."""
        dtype = np.dtype(details["dtype"])
        scale, zero_point = details["quantization"]
        shape = tuple(int(size) for size in details["shape"])
        quantized = Quantization(float(scale), int(zero_point), dtype) if scale and dtype.kind in "iu" else None
        return cls(name, int(details["index"]), shape, dtype, quantized)


class Model(Protocol):
    """A model in one of LiteRT's interfaces; one caller at a time."""

    device: str
    inputs: list[Entry]
    outputs: list[Entry]

    def run(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        """Run once on arrays of the types in the file."""


class InterpreterModel:
    """A model in the interpreter."""

    def __init__(self, interpreter: Any, device: str) -> None:
        self._interpreter = interpreter
        self.device = device
        if interpreter.get_signature_list():
            runner = interpreter.get_signature_runner()
            inputs, outputs = runner.get_input_details(), runner.get_output_details()
        else:
            inputs = {entry["name"]: entry for entry in interpreter.get_input_details()}
            outputs = {entry["name"]: entry for entry in interpreter.get_output_details()}
        self.inputs = [Entry.of(name, details) for name, details in inputs.items()]
        self.outputs = [Entry.of(name, details) for name, details in outputs.items()]

    @property
    def delegated(self) -> bool:
        """Tell whether XNNPACK, or another delegate, has taken a part; True where the library does not tell."""
        details = getattr(self._interpreter, "_get_ops_details", None)
        return details is None or any(entry["op_name"] == "DELEGATE" for entry in details())

    def run(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        """Run once."""
        for entry in self.inputs:
            self._interpreter.set_tensor(entry.index, inputs[entry.name])
        self._interpreter.invoke()
        return {entry.name: self._interpreter.get_tensor(entry.index) for entry in self.outputs}


class AcceleratedModel:
    """A model in LiteRT's compiled-model interface, which reaches its accelerators.

    On the CPU it was measured no faster than the interpreter (docs/research/tflite-writer.md), so only accelerators
    use it.
    """

    def __init__(self, compiled: Any, device: str, inputs: list[Entry], outputs: list[Entry]) -> None:
        self._compiled = compiled
        # LiteRT does not tell how much the accelerator took, and takes all of it to the CPU without a word.
        self.device = device if compiled.is_fully_accelerated() else f"{device} in part or not at all, else CPU"
        self.inputs, self.outputs = inputs, outputs
        self._input_buffers = compiled.create_input_buffers(0)
        self._output_buffers = compiled.create_output_buffers(0)

    def run(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        """Run once."""
        for entry, buffer in zip(self.inputs, self._input_buffers, strict=True):
            buffer.write(np.ascontiguousarray(inputs[entry.name]))
        self._compiled.run_by_index(0, self._input_buffers, self._output_buffers)
        return {
            entry.name: buffer.read(int(np.prod(entry.shape)), entry.dtype.type).reshape(entry.shape)
            for entry, buffer in zip(self.outputs, self._output_buffers, strict=True)
        }


def try_model(name: str) -> None:
    """Open a file on the CPU and run it once, on zeros."""
    path, library = Path(name), import_library()
    data = path.read_bytes()
    model = open_model(path, data, library, "cpu", 1)
    model.run({entry.name: np.zeros(entry.shape, entry.dtype) for entry in model.inputs})


def open_model(path: Path, data: bytes, library: Library, device: str, threads: int) -> Model:
    """Load a model.

    Args:
        path: Its file, for messages.
        data: What the file holds; must outlive the model.
        library: The TFLite.
        device: ``auto``, ``cpu``, ``gpu``, ``npu``, ``edgetpu`` or ``delegate:PATH``.
        threads: Of one inference.

    Raises:
        ArtifactError: The library does not load it.
        EdgehrError: The device is unknown or not there.
    """
    delegates = []
    if device == "edgetpu" or device.startswith("delegate:"):
        delegates.append(load_delegate(library, device))
    elif device not in ("auto", "cpu", *ACCELERATORS):
        raise EdgehrError(f"TFLite has no device {device!r}: expected auto, cpu, gpu, npu, edgetpu or delegate:PATH")
    try:
        interpreter = library.interpreter.Interpreter(
            model_content=data, num_threads=threads, experimental_delegates=delegates
        )
        interpreter.allocate_tensors()
        model = InterpreterModel(interpreter, "CPU" if device in ("auto", "cpu") else device)
    except (ValueError, RuntimeError) as error:
        raise ArtifactError(f"{path}: {library} cannot load it: {first_line(error)}") from None
    return _accelerate(path, data, library, device, threads, model) if device in ACCELERATORS else model


def _accelerate(
    path: Path, data: bytes, library: Library, device: str, threads: int, described: InterpreterModel
) -> Model:
    if library.name != "litert":
        raise EdgehrError(f"{library} has no device {device!r}: that needs ai-edge-litert")
    from ai_edge_litert.compiled_model import CompiledModel
    from ai_edge_litert.hardware_accelerator import HardwareAccelerator
    from ai_edge_litert.options import CpuOptions, Options

    accelerators = HardwareAccelerator[device.upper()] | HardwareAccelerator.CPU
    try:
        options = Options(hardware_accelerators=accelerators, cpu_options=CpuOptions(num_threads=threads))
        compiled = CompiledModel.from_buffer(data, options=options)
        return AcceleratedModel(compiled, device, described.inputs, described.outputs)
    except (RuntimeError, ValueError) as error:
        raise EdgehrError(f"{path}: {library} cannot run it on {device}, is there one? ({first_line(error)})") from None
