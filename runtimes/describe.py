"""What a model file is, without running it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgehr.errors import ArtifactError, MissingDependencyError
from edgehr.files import sha256_file
from edgehr.runtimes import Artifact, Runtime, load
from edgehr.runtimes.base import TensorSpec
from edgehr.runtimes.tensorrt.bundle import SUFFIX, Bundle
from edgehr.runtimes.tensorrt.sidecar import read_plan, read_sidecar, sidecar_path


def describe(path: Path) -> dict[str, Any]:
    """Describe a converted model in plain JSON types.

    Returns:
        `files` (name, size, sha256), `backend`, `inputs` and `outputs` (integers of TFLite with scale and zero point),
        `operators` (count by type; None where the package that could tell is not installed) and `artifact` (None for a
        model that edgehr did not convert).

    Raises:
        EdgehrError: The file is missing, damaged or of an unknown kind.
    """
    if path.suffix in (".plan", ".engine"):
        return _describe_plan(path)
    if path.suffix == SUFFIX:
        return _describe_bundle(path)
    with _open(path) as runtime:
        artifact = runtime.artifact
        quantization = getattr(runtime, "quantization", {})
        files = [path, path.with_suffix(".bin")] if path.suffix == ".xml" else [path]
        return {
            "files": [_file(file) for file in files],
            "backend": runtime.backend,
            "inputs": [_tensor(spec, quantization) for spec in runtime.inputs],
            "outputs": [_tensor(spec, quantization) for spec in runtime.outputs],
            "operators": operators(path),
            "artifact": None if artifact is None else _artifact(artifact),
        }


def _describe_plan(path: Path) -> dict[str, Any]:
    """A plan by its sidecar, after checking that it belongs to it: no GPU and no TensorRT is needed."""
    if not path.is_file():
        raise ArtifactError(f"{path}: no such model file")
    sidecar = read_sidecar(path)
    read_plan(path, sidecar)
    tensors = [
        [
            {"name": name, "shape": [None if size == -1 else size for size in shape], "dtype": "float32"}
            for name, shape in group.items()
        ]
        for group in (sidecar.inputs, sidecar.outputs)
    ]
    return {
        "files": [_file(path), _file(sidecar_path(path))],
        "backend": f"{sidecar.flavor} {sidecar.version}",
        "inputs": tensors[0],
        "outputs": tensors[1],
        "operators": None,
        "artifact": _artifact(sidecar.artifact),
        "built_on": sidecar.built_on,
        "precisions": dict(sidecar.precisions),
        "precision_source": sidecar.precision_source,
        "profiles": dict(sidecar.profiles),
        "settings": sidecar.settings.to_dict(),
    }


def operators(path: Path) -> dict[str, int] | None:
    """How many operators of each type a model has, most frequent first; None where that cannot be told."""
    if path.suffix == ".xml":
        import openvino as ov

        counts = Counter(node.get_type_name() for node in ov.Core().read_model(str(path)).get_ops())
        for passive in ("Constant", "Parameter", "Result"):
            del counts[passive]
    elif path.suffix == ".tflite":
        from edgehr.runtimes.tflite.graph import read_graph

        try:
            counts = Counter(operator.name for operator in read_graph(path).operators)
        except MissingDependencyError:  # an old board: tflite-runtime does not show the graph
            return None
    else:
        try:
            import onnx
        except ImportError:  # a device: ONNX Runtime does not show the graph
            return None
        counts = Counter(node.op_type for node in onnx.load(path, load_external_data=False).graph.node)
    return dict(counts.most_common())


def _describe_bundle(path: Path) -> dict[str, Any]:
    """A bundle by what it holds; its graph is not parsed."""
    bundle = Bundle.read(path)
    return {
        "files": [_file(path)],
        "backend": "a TensorRT plan, after: edgehr build",
        "inputs": [],
        "outputs": [],
        "operators": None,
        "artifact": _artifact(bundle.artifact),
        "onnx_sha256": bundle.onnx_sha256,
        "settings": bundle.settings.to_dict(),
    }


def _file(path: Path) -> dict[str, Any]:
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": sha256_file(path)}


def _artifact(artifact: Artifact) -> dict[str, Any]:
    return {**vars(artifact), "card": artifact.card.to_dict()}


def _open(path: Path) -> Runtime:
    if path.suffix == ".tflite" and path.is_file():
        from edgehr.runtimes.tflite.runtime import TFLiteRuntime

        return TFLiteRuntime(path, integers=True)  # the types in the file, not those that callers see
    return load(path)


def _tensor(spec: TensorSpec, quantization: Mapping[str, Any]) -> dict[str, Any]:
    tensor: dict[str, Any] = {"name": spec.name, "shape": list(spec.shape), "dtype": str(spec.dtype)}
    if spec.name in quantization:
        tensor |= {"scale": quantization[spec.name].scale, "zero_point": quantization[spec.name].zero_point}
    return tensor
