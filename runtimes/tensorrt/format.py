"""The formats of TensorRT: plans, which run, and bundles, of which plans are built."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgehr.errors import ArtifactError
from edgehr.runtimes.formats import Format

if TYPE_CHECKING:
    from edgehr.runtimes.base import Runtime


class PlanFormat(Format):
    """Native code for one GPU, and the sidecar that says what it is; see `edgehr.runtimes.tensorrt.sidecar`."""

    name, title = "tensorrt", "TensorRT"
    suffixes = (".plan", ".engine")

    def files(self, path: Path) -> list[Path]:
        """List the plan and its sidecar."""
        from edgehr.runtimes.tensorrt.sidecar import sidecar_path

        return [path, sidecar_path(path)]

    def open(
        self, path: Path, device: str = "auto", threads: int | None = None, precision: str | None = None
    ) -> Runtime:
        """Open a plan on the GPU here."""
        from edgehr.runtimes.tensorrt.runtime import TensorRTRuntime

        return TensorRTRuntime(path, device, threads, precision)

    def describe(self, path: Path) -> dict[str, Any]:
        """Describe a plan by its sidecar, after checking that it belongs to it: no GPU and no TensorRT is needed."""
        from edgehr.runtimes.tensorrt.sidecar import read_plan, read_sidecar

        sidecar = read_sidecar(path)
        read_plan(path, sidecar)
        inputs, outputs = (
            [
                {"name": name, "shape": [None if size == -1 else size for size in shape], "dtype": "float32"}
                for name, shape in group.items()
            ]
            for group in (sidecar.inputs, sidecar.outputs)
        )
        return {
            **self.described(path, f"{sidecar.library} {sidecar.version}", inputs, outputs, sidecar.artifact),
            "built_on": sidecar.built_on,
            "precisions": dict(sidecar.precisions),
            "precision_source": sidecar.precision_source,
            "profiles": dict(sidecar.profiles),
            "settings": sidecar.settings.to_dict(),
        }


class BundleFormat(Format):
    """What a workstation writes for a device to build a plan of; see `edgehr.runtimes.tensorrt.bundle`."""

    name, title = "trt-bundle", "to build a TensorRT plan of"
    suffixes = (".trtbundle",)

    def open(
        self, path: Path, device: str = "auto", threads: int | None = None, precision: str | None = None
    ) -> Runtime:
        """Refuse: a bundle does not run."""
        raise ArtifactError(f"{path}: a bundle does not run: build a plan of it on the device, with edgehr build")

    def describe(self, path: Path) -> dict[str, Any]:
        """Describe a bundle by what it holds; its graph is not parsed."""
        from edgehr.runtimes.tensorrt.bundle import Bundle

        bundle = Bundle.read(path)
        return {
            **self.described(path, "a TensorRT plan, after: edgehr build", [], [], bundle.artifact),
            "onnx_sha256": bundle.onnx_sha256,
            "settings": bundle.settings.to_dict(),
        }


PLAN, BUNDLE = PlanFormat(), BundleFormat()
