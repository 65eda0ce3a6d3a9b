"""Models as users name them: an artifact, a checkpoint, or a name from the zoo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgehr.card import ModelCard
from edgehr.dependencies import need_torch
from edgehr.errors import EdgehrError
from edgehr.runtimes import Runtime, load
from edgehr.runtimes.formats import find_format

CHECKPOINTS = (".pth", ".pt", ".ckpt", ".pkl", ".tar", ".bin", ".safetensors")


def open_artifact(
    name: str, device: str = "auto", threads: int | None = None, precision: str | None = None
) -> tuple[Runtime, ModelCard]:
    """Open a converted model; raises EdgehrError also for one that edgehr did not convert."""
    runtime = load(name, device, threads=threads, precision=precision)
    try:
        return runtime, runtime.card
    except EdgehrError:
        runtime.close()
        raise


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
    if find_format(name):
        if weights is not None:
            raise EdgehrError(f"{name} has its weights inside: --weights goes with a model name")
        return open_artifact(name, device, threads, precision)
    need_torch()
    from edgehr.cli.fetch import fetch_with_progress
    from edgehr.converters.source import ONNX_ARCHITECTURES
    from edgehr.models.runtime import TorchRuntime
    from edgehr.zoo import find_card

    if device != "auto" or precision is not None:
        raise EdgehrError(f"{name} runs in PyTorch, on the CPU in fp32: a device or precision goes with an artifact")
    if Path(name).suffix.lower() in CHECKPOINTS:
        if weights is not None:
            raise EdgehrError(f"{name} is a checkpoint itself: --weights goes with a model name")
        if card is None:
            raise EdgehrError(f"{name}: say which model this checkpoint is of with --checkpoint-of NAME")
        return TorchRuntime(card, Path(name), threads), card
    card = find_card(name)
    if card.architecture in ONNX_ARCHITECTURES:
        raise EdgehrError(
            f"{card.name} comes as ONNX and does not run in PyTorch: name the file that `edgehr convert {name} --to "
            "onnx` writes"
        )
    return TorchRuntime(card, weights or fetch_with_progress(card), threads), card


def open_runtime(name: str, **options: Any) -> Runtime:
    """Open a model as `open_model` does, and return its runtime alone: a worker knows the card already."""
    return open_model(name, **options)[0]
