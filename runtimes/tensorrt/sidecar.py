"""The sidecar: what a plan is, in a JSON file beside it.

A plan is native code for one GPU architecture and one TensorRT. It cannot describe itself, and deserializing one that
was altered or built elsewhere can do anything. So no plan is deserialized before its sidecar was checked against the
file, the library and the GPU. The hashes find damage and mix-ups; they are no signature: load only plans you built.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edgehr.errors import ArtifactError, EdgehrError
from edgehr.runtimes.artifact import Artifact
from edgehr.runtimes.tensorrt.cuda import Gpu
from edgehr.runtimes.tensorrt.settings import BuildSettings

SCHEMA = 2  # 1 called the library the flavor
AMPERE = (8, 0)


@dataclass(frozen=True)
class Sidecar:
    """What stands beside a plan.

    Attributes:
        plan_sha256: SHA-256 of the plan.
        plan_bytes: Size of the plan.
        onnx_sha256: SHA-256 of the graph that it was built from.
        library: ``tensorrt`` or ``tensorrt_rtx``.
        version: Version of that library.
        gpu_name: Name of the GPU it was built on; empty where there was none.
        compute_capability: Compute capability of that GPU.
        precisions: How many convolutions and matrix products compute in which precision.
        precision_source: ``engine inspector`` (read back from the engine), or ``parsed network`` where no GPU could
            deserialize the plan.
        inputs: Name and shape (-1 for a dynamic batch) of each input.
        outputs: The same of each output.
        profiles: Smallest, tuned and largest shape of each dynamic input.
        settings: What it was built with.
        artifact: Card, precision of the graph, hash of the weights, tools.
    """

    plan_sha256: str
    plan_bytes: int
    onnx_sha256: str
    library: str
    version: str
    gpu_name: str
    compute_capability: str
    precisions: Mapping[str, int]
    precision_source: str
    inputs: Mapping[str, list[int]]
    outputs: Mapping[str, list[int]]
    settings: BuildSettings
    artifact: Artifact
    profiles: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """Write indented JSON with the schema number and a hash of all of it."""
        data = {"schema": SCHEMA, **asdict(self)}
        data |= {"settings": self.settings.to_dict(), "artifact": json.loads(self.artifact.to_json())}
        return json.dumps({**data, "sidecar_sha256": _digest(data)}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Sidecar:
        """Read what `to_json` wrote; raises ArtifactError for anything else."""
        try:
            data: dict[str, Any] = json.loads(text)
            digest = data.pop("sidecar_sha256")
            if digest != _digest(data):
                raise ArtifactError("it was altered: its own hash does not fit")
            schema = data.pop("schema")
            if schema == 1:
                data["library"] = data.pop("flavor")
            elif schema != SCHEMA:
                raise ArtifactError("it was written by another generation of edgehr")
            settings = BuildSettings.from_dict(data.pop("settings"))
            artifact = Artifact.from_json(json.dumps(data.pop("artifact")))
            return cls(**data, settings=settings, artifact=artifact)
        except ArtifactError:
            raise
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, EdgehrError) as error:
            raise ArtifactError(f"it is not a sidecar ({error})") from None

    @property
    def built_on(self) -> str:
        """Return the GPU that it was built on or for, in words."""
        if self.gpu_name:
            return f"{self.gpu_name} (compute capability {self.compute_capability})"
        targets = self.settings.compute_capabilities
        return f"no GPU, for compute capabilities {', '.join(targets) if targets else '8.0 and later'}"


def sidecar_path(plan: Path) -> Path:
    """Return where the sidecar of a plan is."""
    return plan.with_name(plan.name + ".json")


def read_sidecar(plan: Path) -> Sidecar:
    """Read the sidecar of a plan; raises ArtifactError where it is missing or damaged."""
    path = sidecar_path(plan)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is not there" if isinstance(error, FileNotFoundError) else str(error)
        raise ArtifactError(f"{plan}: a plan is not loaded without its sidecar {path.name}: {reason}") from None
    try:
        return Sidecar.from_json(text)
    except ArtifactError as error:
        raise ArtifactError(f"{path}: {error}") from None


def read_plan(plan: Path, sidecar: Sidecar) -> bytes:
    """Read a plan once, so that what was checked is what runs.

    Raises:
        ArtifactError: It is not the plan that the sidecar was written for.
    """
    size = plan.stat().st_size
    if size != sidecar.plan_bytes:
        raise ArtifactError(f"{plan}: has {size} bytes, its sidecar says {sidecar.plan_bytes}: truncated or replaced")
    data = plan.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != sidecar.plan_sha256:
        raise ArtifactError(
            f"{plan}: has SHA-256 {digest[:16]}..., its sidecar says {sidecar.plan_sha256[:16]}...: altered or replaced"
        )
    return data


def check_library(plan: Path, sidecar: Sidecar, library: str, version: str) -> None:
    """Refuse a plan of another library; raises ArtifactError naming both sides."""
    same = sidecar.version == version
    compatible = sidecar.settings.version_compatible and _later_minor(sidecar.version, version)
    if sidecar.library != library or not (same or compatible):
        built = f"{sidecar.library} {sidecar.version}"
        raise ArtifactError(f"{plan}: was built by {built}, here is {library} {version}: build it again here")


def check_gpu(plan: Path, sidecar: Sidecar, gpu: Gpu) -> None:
    """Refuse a plan for another GPU; raises ArtifactError naming both sides."""
    here = _numbers(gpu.compute_capability)
    if sidecar.library == "tensorrt_rtx":
        targets = sidecar.settings.compute_capabilities
        fits = gpu.compute_capability in targets if targets else here >= AMPERE
    elif sidecar.settings.hardware_compatible:
        fits = here >= AMPERE
    else:
        fits = (gpu.name, gpu.compute_capability) == (sidecar.gpu_name, sidecar.compute_capability)
    if not fits:
        raise ArtifactError(f"{plan}: was built on {sidecar.built_on}, here is {gpu}: build it again here")


def _later_minor(built: str, here: str) -> bool:
    return _numbers(built)[0] == _numbers(here)[0] and _numbers(built) <= _numbers(here)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def _digest(data: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
