"""A target of somebody else's: ONNX files whose weights are rounded to 16 bits of mantissa."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx
from onnx import numpy_helper

from edgehr.converters.onnx.graph import described
from edgehr.converters.target import TARGETS, Built, Target, Written, open_written
from edgehr.runtimes import Artifact


@dataclass(frozen=True, kw_only=True)
class RoundedTarget(Target):
    name: ClassVar[str] = "rounded"
    format: ClassVar[str] = "onnx"
    tools: ClassVar[tuple[str, ...]] = ("onnx",)
    precisions: ClassVar[tuple[str, ...]] = ("fp32",)

    def build(self, source: Any, samples: Sequence[Any], progress: Any) -> Built:
        model = source.graph(self.batch, self.network(source, progress))
        with progress.stage("round to 16 bits of mantissa"):
            for tensor in model.graph.initializer:
                value = numpy_helper.to_array(tensor)
                if value.dtype == np.float32:
                    bits = (value.view(np.uint32) + 0x40) & 0xFFFFFF80
                    tensor.CopyFrom(numpy_helper.from_array(bits.astype(np.uint32).view(np.float32), tensor.name))
        return Built(model, {"exported": len(model.graph.node)}, ["weights are rounded to 16 bits of mantissa"])

    def write(self, built: Built, artifact: Artifact, path: Path) -> Written:
        onnx.save(described(built.model, artifact), path)
        return Written("fp32", partial(open_written, path))


TARGETS.register("rounded", RoundedTarget)
