"""What a model file is, without running it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from edgehr.files import sha256_file
from edgehr.runtimes import load
from edgehr.runtimes.base import TensorSpec


def describe(path: Path) -> dict[str, Any]:
    """Describe a converted model in plain JSON types.

    Returns:
        `files` (name, size, sha256), `backend`, `inputs`, `outputs`, `operators` (count by type; None where the package
        that could tell is not installed) and `artifact` (None for a model that edgehr did not convert).

    Raises:
        EdgehrError: The file is missing, damaged or of an unknown kind.
    """
    with load(path) as runtime:
        artifact = runtime.artifact
        files = [path, path.with_suffix(".bin")] if path.suffix == ".xml" else [path]
        return {
            "files": [{"name": f.name, "bytes": f.stat().st_size, "sha256": sha256_file(f)} for f in files],
            "backend": runtime.backend,
            "inputs": [_tensor(spec) for spec in runtime.inputs],
            "outputs": [_tensor(spec) for spec in runtime.outputs],
            "operators": operators(path),
            "artifact": None if artifact is None else {**vars(artifact), "card": artifact.card.to_dict()},
        }


def operators(path: Path) -> dict[str, int] | None:
    """How many operators of each type a model has, most frequent first; None where that cannot be told."""
    if path.suffix == ".xml":
        import openvino as ov

        counts = Counter(node.get_type_name() for node in ov.Core().read_model(str(path)).get_ops())
        for passive in ("Constant", "Parameter", "Result"):
            del counts[passive]
    else:
        try:
            import onnx
        except ImportError:  # a device: ONNX Runtime does not show the graph
            return None
        counts = Counter(node.op_type for node in onnx.load(path, load_external_data=False).graph.node)
    return dict(counts.most_common())


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "shape": list(spec.shape), "dtype": str(spec.dtype)}
