"""Find what ships with edgehr: pictures of people, and models that run as they are.

Origin and terms are in NOTICE.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent
MODELS = FOLDER / "models"


def photographs() -> list[Path]:
    """List the paths of two photographs of one person each, in a fixed order: what conversions are compared on."""
    return sorted(FOLDER.glob("*.jpg"))


def group_picture() -> Path:
    """Return the path of a picture of three people: three photographs side by side."""
    return FOLDER / "people" / "people.jpg"


def packaged_models() -> list[str]:
    """List the names of the models that run without conversion."""
    return sorted(path.stem for path in MODELS.glob("*.onnx"))


def packaged_model(name: str, suffix: str = ".onnx") -> Path:
    """Return where a packaged model is, or would be: as ``.onnx`` or as ``.tflite``."""
    return MODELS / f"{name}{suffix}"
