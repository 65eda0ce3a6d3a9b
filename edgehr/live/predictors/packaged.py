"""The models that ship with edgehr, on whichever runtime is installed."""

from __future__ import annotations

import logging

from edgehr.assets import MODELS, packaged_model
from edgehr.errors import MissingDependencyError
from edgehr.registry import load_attribute
from edgehr.runtimes import Runtime
from edgehr.runtimes.formats import check_file

_LOG = logging.getLogger("edgehr.runtimes")

# In the order in which they are taken: the fastest on most CPUs first.
_RUNTIMES = (
    ("edgehr.runtimes.openvino.runtime:OpenVINORuntime", ".onnx"),
    ("edgehr.runtimes.onnx.runtime:OnnxRuntime", ".onnx"),
    ("edgehr.runtimes.tflite.runtime:TFLiteRuntime", ".tflite"),
)


def open_packaged(name: str, device: str = "auto", threads: int | None = None) -> Runtime:
    """Open a packaged model in OpenVINO, ONNX Runtime, LiteRT or `tflite-runtime`, the first of them that is installed.

    Args:
        name: One of `edgehr.assets.packaged_models`.
        device: As for `edgehr.load`.
        threads: Threads of one inference.

    Raises:
        MissingDependencyError: None is installed and works.
        EdgehrError: The device is not there.
    """
    problems = []
    for address, suffix in _RUNTIMES:
        path = packaged_model(name, suffix)
        check_file(path)
        try:
            runtime: Runtime = load_attribute(address)(path, device, threads)
        except MissingDependencyError as error:
            if "does not load" in str(error):
                problems.append(str(error))
            _LOG.debug("%s: %s", name, error)
            continue
        _LOG.info(
            "%s: opened in %s on %s, computing in %s: the first runtime that is installed",
            name,
            runtime.backend,
            runtime.device,
            runtime.precision,
        )
        return runtime
    found = "; ".join(problems) or "no runtime is installed"
    raise MissingDependencyError(f"{found}: pip install 'edgehr[openvino]', 'edgehr[onnxruntime]' or 'edgehr[tflite]'")


def is_packaged(runtime: Runtime) -> bool:
    """Tell whether a runtime runs a packaged model."""
    return runtime.path is not None and runtime.path.parent == MODELS
