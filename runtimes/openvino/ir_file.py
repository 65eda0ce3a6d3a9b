"""What the files of an IR say without OpenVINO: the name of the weights, and the layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from edgehr.runtimes.artifact import METADATA_KEY

# What stands before the hash of an `.xml` of edgehr, in it.
HASH_NAME = b"whole_sha256"
HASH_MARKER = b"<" + HASH_NAME + b' value="'

Ends = tuple[list[dict[str, Any]], list[dict[str, Any]]]

_DTYPES = {"FP32": "float32", "FP16": "float16", "FP64": "float64", "BF16": "bfloat16"} | {
    f"{short}{bits}": f"{name}{bits}" for short, name in (("I", "int"), ("U", "uint")) for bits in (8, 16, 32, 64)
}


def weights_path(path: Path) -> Path:
    """Name the file of the weights of an IR: `.bin` beside it, in capitals only where that is what is there."""
    usual, shouted = path.with_suffix(".bin"), path.with_suffix(".BIN")
    return shouted if shouted.is_file() and not usual.is_file() else usual


def read_layers(path: Path) -> list[ElementTree.Element]:
    """Read the elements of the layers; raises ParseError where the file is no XML."""
    return ElementTree.parse(path).getroot().findall("layers/layer")  # noqa: S314 - expat limits what grows


def read_ends(path: Path) -> Ends | None:
    """Read inputs and outputs, as `Format.described` takes them; None of what is no IR, and of what edgehr wrote."""
    try:
        root = ElementTree.parse(path).getroot()  # noqa: S314 - of what it can do, expat limits what grows
    except (ElementTree.ParseError, OSError, ValueError):
        return None
    if root.tag != "net" or root.find(f"rt_info/{METADATA_KEY}") is not None:
        return None
    layers = {layer.get("id"): layer for layer in root.findall("layers/layer")}
    made_by = {edge.get("to-layer"): (edge.get("from-layer"), edge.get("from-port")) for edge in root.iter("edge")}

    def entry(layer: ElementTree.Element | None, port: str | None = None) -> dict[str, Any]:
        ports = [] if layer is None else layer.findall("output/port")
        found = next((each for each in ports if port in (None, each.get("id"))), None)
        if layer is None or found is None:
            return {"name": "?", "shape": [], "dtype": "unknown"}
        sizes = [int(size.text or -1) for size in found.findall("dim")]
        dtype = found.get("precision", "unknown")
        return {
            "name": found.get("names") or layer.get("name", ""),
            "shape": [None if size < 0 else size for size in sizes],
            "dtype": _DTYPES.get(dtype, dtype.lower()),
        }

    results = [made_by.get(name, (None, None)) for name, each in layers.items() if each.get("type") == "Result"]
    return (
        [entry(layer) for layer in layers.values() if layer.get("type") == "Parameter"],
        [entry(layers.get(source), port) for source, port in results],
    )
