"""From a bundle to a plan and its sidecar on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from edgehr.errors import ArtifactError
from edgehr.files import atomic_write
from edgehr.runtimes.artifact import Part, part_path
from edgehr.runtimes.tensorrt.build import Plan, build_plan
from edgehr.runtimes.tensorrt.bundle import Bundle
from edgehr.runtimes.tensorrt.cuda import Gpu
from edgehr.runtimes.tensorrt.engine import engine_precisions, open_engine
from edgehr.runtimes.tensorrt.library import Library, check_can_build
from edgehr.runtimes.tensorrt.settings import BuildSettings
from edgehr.runtimes.tensorrt.sidecar import Sidecar, sidecar_path


@dataclass(frozen=True)
class MadePlan:
    """A plan that was written.

    Attributes:
        path: The plan; its sidecar is beside it.
        sidecar: What the sidecar says.
        plan: What the builder reported.
        opens_here: Whether the GPU here opened it.
    """

    path: Path
    sidecar: Sidecar
    plan: Plan
    opens_here: bool


def make_plan(bundle: Bundle, path: Path, library: Library, gpu: Gpu | None) -> MadePlan:
    """Build a plan and write it with its sidecar; see `make_plans`."""
    return make_plans({"": bundle}, path, library, gpu)[""]


def make_plans(bundles: Mapping[str, Bundle], path: Path, library: Library, gpu: Gpu | None) -> dict[str, MadePlan]:
    """Build the plans of a model of one or several graphs, and write them with their sidecars when all are built.

    Args:
        bundles: By name of the graph; the main one's, whose name is empty, comes last and tells the others.
        path: The main plan, `.plan`; the others lie beside it.
        library: The TensorRT to build with.
        gpu: The GPU here, if any: then the precision is read back from the engine itself.

    Raises:
        EdgehrError: `tensorrt` without a GPU, or the library refuses the graph or a setting. Nothing is left behind.
    """
    check_can_build(library, gpu)
    made: dict[str, MadePlan] = {}
    parts: dict[str, Part] = {}
    for name, bundle in bundles.items():
        settings = bundle.settings
        if name:
            settings = settings.without_profile()  # the batch of a part is fixed
        elif parts:
            bundle = replace(bundle, artifact=replace(bundle.artifact, parts=parts))
        made[name] = _build(replace(bundle, settings=settings), part_path(path, name), library, gpu)
        if name:
            parts[name] = Part(made[name].path.name, made[name].sidecar.plan_sha256)
    contents = {
        file: content
        for each in made.values()
        for file, content in (
            (sidecar_path(each.path), each.sidecar.to_json().encode()),
            (each.path, each.plan.data),
        )
    }
    with atomic_write(*contents) as temporary:
        for file, content in zip(temporary, contents.values(), strict=True):
            file.write_bytes(content)
    return made


def _build(bundle: Bundle, path: Path, library: Library, gpu: Gpu | None) -> MadePlan:
    """Build a plan and what its sidecar says, and write nothing."""
    plan = build_plan(bundle.onnx, library, bundle.settings)
    precisions, source = plan.precisions, "parsed network"
    found = None if gpu is None else _read_back(plan.data, library, bundle.settings)
    if found:
        precisions, source = found, "engine inspector"
    built_on_gpu = gpu is not None and not library.is_rtx  # TensorRT-RTX compiles ahead, without looking at the GPU
    sidecar = Sidecar(
        plan_sha256=hashlib.sha256(plan.data).hexdigest(),
        plan_bytes=len(plan.data),
        onnx_sha256=bundle.onnx_sha256,
        library=library.name,
        version=library.version,
        gpu_name=gpu.name if gpu is not None and built_on_gpu else "",
        compute_capability=gpu.compute_capability if gpu is not None and built_on_gpu else "",
        precisions=precisions,
        precision_source=source,
        inputs=plan.inputs,
        outputs=plan.outputs,
        profiles=plan.profiles,
        settings=bundle.settings,
        artifact=bundle.artifact,
    )
    return MadePlan(path, sidecar, plan, opens_here=found is not None)


def _read_back(data: bytes, library: Library, settings: BuildSettings) -> dict[str, int] | None:
    """Read precisions by the engine inspector; None where the plan does not open here (it may be for other GPUs)."""
    try:
        runtime, engine = open_engine(data, library, settings)
    except ArtifactError:
        return None
    try:
        return engine_precisions(engine, library.trt)
    finally:
        del engine, runtime
