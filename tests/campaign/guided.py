"""Fuzz the parsers that are written in Python, guided by coverage; a look beside the campaigns, by hand.

    pip install atheris
    python -m tests.campaign.guided TARGET -runs=100000

The campaigns themselves do without: most of their files go through native parsers, which show atheris no coverage, and
a case that may end the process needs one of its own.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from edgehr.errors import EdgehrError


def _tflite(data: bytes) -> None:
    from edgehr.runtimes.tflite.container import read_artifact

    read_artifact(b"\0\0\0\0TFL3" + data, "it")


def _card(data: bytes) -> None:
    from edgehr.card import ModelCard

    ModelCard.from_json(data.decode(errors="replace"))


def _description(data: bytes) -> None:
    from edgehr.runtimes import Artifact

    Artifact.from_json(data.decode(errors="replace"))


def _coco(data: bytes) -> None:
    from edgehr.evaluation.annotations import Annotations

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a.json").write_bytes(data)
        Annotations.read(Path(folder) / "a.json")


def _pickle(data: bytes) -> None:
    import io

    from edgehr.models.checkpoints import inert

    try:
        inert.load(io.BytesIO(data))
    except (EdgehrError, RecursionError):
        raise
    except Exception:  # a broken pickle raises anything; what reads it makes one line of that
        return


# Target -> what it runs, and the module whose branches guide it.
TARGETS: dict[str, tuple[Callable[[bytes], None], str]] = {
    "tflite": (_tflite, "edgehr.runtimes.tflite.container"),
    "card": (_card, "edgehr.card"),
    "description": (_description, "edgehr.runtimes.artifact"),
    "coco": (_coco, "edgehr.evaluation.coco_file"),
    "pickle": (_pickle, "edgehr.models.checkpoints.inert"),
}


def main() -> None:
    import atheris

    target, module = TARGETS[sys.argv.pop(1)]

    def one(data: bytes) -> None:
        try:
            target(data)
        except EdgehrError as error:
            if "\n" in str(error):
                raise ValueError(f"not one line: {error}") from error

    with atheris.instrument_imports(include=[module]):
        importlib.import_module(module)
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
