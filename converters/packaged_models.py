"""Make the models that ship in `edgehr/assets/models` and run as they are.

    python -m edgehr.converters.packaged_models [--out FOLDER] [--detector-weights FILE]

Each is written as ONNX for ONNX Runtime and OpenVINO, and as TFLite, with weights in half precision. They are computed
with in float32, but for TFLite on ARM CPUs that have half precision. The detector is made again of its own packaged
ONNX file, unless the published one is named: rounding to half precision changes nothing the second time.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from edgehr.assets import MODELS
from edgehr.converters.convert import convert
from edgehr.converters.onnx.half_weights import narrow_weights
from edgehr.converters.onnx.target import OnnxTarget
from edgehr.converters.target import Built, Target, Written
from edgehr.converters.tflite.target import TFLiteTarget
from edgehr.zoo import DEFAULT_DETECTOR, DEFAULT_MODEL, DEFAULT_SEGMENTER, find_weights, get_card

if TYPE_CHECKING:
    from edgehr.runtimes import Artifact

PACKAGED = (DEFAULT_MODEL, DEFAULT_DETECTOR, DEFAULT_SEGMENTER)


@dataclass(frozen=True, kw_only=True)
class HalfWeightsTarget(OnnxTarget):
    """`.onnx` whose weights alone are in half precision."""

    precisions: ClassVar[tuple[str, ...]] = ("fp16",)
    casts_graph: ClassVar[bool] = False

    precision: str = "fp16"

    def write(self, built: Built, artifact: Artifact, path: Path) -> Written:
        """Write the graph with narrow weights."""
        return super().write(replace(built, model=narrow_weights(built.model)), artifact, path)


def make(folder: Path, name: str, weights: Path | None = None) -> list[Path]:
    """Write a packaged model in every form.

    Args:
        folder: Where to.
        name: Of its card.
        weights: Its checkpoint or graph; by default what ships with edgehr.

    Raises:
        EdgehrError: It cannot be converted, or differs from its source by more than half precision explains.
    """
    card = get_card(name)
    source = weights or find_weights(card)
    targets: tuple[Target, ...] = (HalfWeightsTarget(), TFLiteTarget(precision="fp16"))
    paths = []
    for target in targets:
        report = convert(card, source, target, out=folder / f"{name}{target.suffix}")
        print(f"{report.path}  {report.size_bytes / 1e6:.1f} MB\n  {report.difference}")
        paths.append(report.path)
    return paths


def main() -> None:
    """Make all of them."""
    parser = argparse.ArgumentParser(description="Make the models that ship with edgehr.")
    parser.add_argument("--out", type=Path, default=MODELS, help="folder (default: that of the package)")
    parser.add_argument("--detector-weights", type=Path, metavar="FILE", help="the published graph of the detector")
    args = parser.parse_args()
    for name in PACKAGED:
        make(args.out, name, args.detector_weights if name == DEFAULT_DETECTOR else None)


if __name__ == "__main__":
    main()
