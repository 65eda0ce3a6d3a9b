"""What is asked of the files of strangers, in the campaigns' child: each is refused, or what it names is not used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from edgehr.errors import EdgehrError


def _bundle(given: Path) -> None:
    from edgehr.runtimes.tensorrt.bundle import Bundle

    Bundle.read(given / "a.trtbundle")


def _plan(given: Path) -> None:
    from edgehr.runtimes.tensorrt.sidecar import read_plan, read_sidecar

    read_plan(given / "a.plan", read_sidecar(given / "a.plan"))


def _load(given: Path) -> None:
    from edgehr.runtimes import load

    load(next(path for name in ("a.tuned", "a.onnx") for path in given.glob(name))).close()


def _external(given: Path) -> None:
    """Neither of the runtimes that read ONNX may take its weights from elsewhere."""
    from edgehr.runtimes.onnx.runtime import OnnxRuntime
    from edgehr.runtimes.openvino.runtime import OpenVINORuntime

    opened = []
    for kind in (OnnxRuntime, OpenVINORuntime):
        try:
            with kind(given / "a.onnx") as runtime:
                found = runtime.infer({"image": np.ones((1, 3, 8, 8), np.float32)})["heatmaps"]
                opened.append(f"{kind.__name__} {float(found.max()):g}")
        except EdgehrError:
            continue
    if opened:
        raise ValueError(f"opened: {', '.join(opened)}")
    raise EdgehrError("refused by both")


def _annotations(given: Path) -> None:
    from edgehr.evaluation.annotations import Annotations

    for image in Annotations.read(given / "a.json").ground_truth(given / "images"):
        image.read()


def _card(given: Path) -> None:
    from edgehr.zoo import fetch, find_card

    fetch(find_card(str(given / "a.json")))


def _archive(given: Path) -> None:
    from edgehr.models.checkpoints.reading import read_checkpoint

    read_checkpoint(next(given.glob("a.*")))


STRANGERS: dict[str, Callable[[Path], None]] = {
    "bundle": _bundle,
    "plan": _plan,
    "tuned": _load,
    "parts": _load,
    "external data": _external,
    "annotations": _annotations,
    "card": _card,
    "archive": _archive,
}


def check_stranger(name: str, given: Path) -> str:
    """Read a file of a stranger.

    Returns:
        ``harmless`` where it was read.

    Raises:
        EdgehrError: It was refused.
    """
    STRANGERS[name](given)
    return "harmless"
