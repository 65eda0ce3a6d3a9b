"""OpenVINO IR as a target."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from edgehr.converters.onnx.target import GraphTarget
from edgehr.converters.target import Built, Written, open_written

if TYPE_CHECKING:
    from edgehr.models.deploy.forms import Form
    from edgehr.runtimes import Artifact


@dataclass(frozen=True, kw_only=True)
class OpenVINOTarget(GraphTarget):
    """`.xml` and `.bin`."""

    name: ClassVar[str] = "openvino"
    tools: ClassVar[tuple[str, ...]] = ("onnx", "onnxsim", "openvino")
    recipe_kind: ClassVar[str] = "unsigned"
    casts_graph: ClassVar[bool] = False

    def form(self) -> Form:
        """Return the form for OpenVINO, which stores channels last."""
        from edgehr.models.deploy.forms import Form

        return Form(defer_weights=True, separate_gates=True, pool_by_conv=True, broadcast=True, transpose_output=True)

    def write(self, built: Built, artifact: Artifact, path: Path) -> Written:
        """Convert the graph and write both files."""
        from edgehr.converters.openvino.ir import ir_nodes, ir_precision, save_ir, to_ir

        model = to_ir(built.model)
        save_ir(model, path, artifact, fp16_weights=artifact.precision == "fp16")
        return Written(ir_precision(path), partial(open_written, path), nodes={"artifact": ir_nodes(model)})
