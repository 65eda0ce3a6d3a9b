"""Models as users name them: an artifact, a checkpoint, or a name from the zoo."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from edgehr.card import ModelCard
from edgehr.errors import EdgehrError, MissingDependencyError
from edgehr.runtimes import Runtime, load

ARTIFACTS = (".onnx", ".xml")
CHECKPOINTS = (".pth", ".pt", ".tar", ".bin", ".safetensors")


def need_torch() -> None:
    """Raise MissingDependencyError where the workstation packages are not installed."""
    missing = [name for name in ("torch", "onnx", "safetensors") if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingDependencyError(f"this needs {', '.join(missing)}: pip install 'edgehr[convert]'")


def open_model(
    name: str,
    *,
    weights: Path | None = None,
    card: ModelCard | None = None,
    device: str = "auto",
    threads: int | None = None,
    precision: str | None = None,
) -> tuple[Runtime, ModelCard]:
    """Open a model for inference.

    Args:
        name: An artifact (`.onnx`, `.xml`), a checkpoint, or a model name or card file, which runs in PyTorch.
        weights: Checkpoint for a model name; by default the model's own.
        card: The model that a checkpoint is of.
        device: As for `edgehr.runtimes.load`.
        threads: As for `edgehr.runtimes.load`.
        precision: As for `edgehr.runtimes.load`; artifacts only.

    Raises:
        EdgehrError: It cannot be opened, or a checkpoint's model is not known.
    """
    suffix = Path(name).suffix
    if suffix in ARTIFACTS:
        runtime = load(name, device, threads=threads, precision=precision)
        if runtime.artifact is None:
            raise EdgehrError(f"{name}: was not converted by edgehr, so what it expects and returns is not known")
        return runtime, runtime.artifact.card
    need_torch()
    from edgehr.models.runtime import TorchRuntime
    from edgehr.zoo import find_card, find_weights

    if suffix in CHECKPOINTS:
        if card is None:
            raise EdgehrError(f"{name}: say which model this checkpoint is of with --checkpoint-of NAME")
        return TorchRuntime(card, Path(name), threads), card
    card = find_card(name)
    return TorchRuntime(card, weights or find_weights(card), threads), card
