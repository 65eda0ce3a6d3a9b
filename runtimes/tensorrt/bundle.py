"""The bundle: all that a device needs to build a plan, in one file that a workstation writes.

A zip file with `model.onnx` (its precision in the graph) and `bundle.json` (the artifact's description, build settings
and the hash of the graph). PyTorch and onnx stay on the workstation.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from edgehr.errors import ArtifactError, EdgehrError
from edgehr.files import atomic_write
from edgehr.runtimes.artifact import Artifact
from edgehr.runtimes.tensorrt.settings import BuildSettings

SCHEMA = 1
MODEL, DESCRIPTION = "model.onnx", "bundle.json"
# Far above any network here; a file that claims more is damaged or hostile.
MAX_BYTES = 1 << 30
# What zipfile and json raise for files that are damaged, encrypted or packed in unknown ways.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    ValueError,
    ArithmeticError,
    LookupError,
    struct.error,
    TypeError,
    AttributeError,
    RuntimeError,
    EdgehrError,
)


@dataclass(frozen=True)
class Bundle:
    """A graph to build, and how.

    Attributes:
        onnx: The serialized ONNX model.
        artifact: Its description.
        settings: What to build with.
    """

    onnx: bytes
    artifact: Artifact
    settings: BuildSettings

    @property
    def onnx_sha256(self) -> str:
        """Compute the SHA-256 of the graph, in hex."""
        return hashlib.sha256(self.onnx).hexdigest()

    def write(self, path: Path) -> None:
        """Write the bundle, whole or not at all."""
        description = {
            "schema": SCHEMA,
            "onnx_sha256": self.onnx_sha256,
            "artifact": json.loads(self.artifact.to_json()),
            "settings": self.settings.to_dict(),
        }
        with atomic_write(path) as (temporary,), zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(_entry(DESCRIPTION), json.dumps(description, indent=2))
            archive.writestr(_entry(MODEL), self.onnx)

    @classmethod
    def read(cls, path: Path) -> Bundle:
        """Read and check a bundle.

        Raises:
            ArtifactError: It is missing, damaged or no bundle.
        """
        try:
            with zipfile.ZipFile(path) as archive:
                if archive.getinfo(MODEL).file_size + archive.getinfo(DESCRIPTION).file_size > MAX_BYTES:
                    raise ArtifactError(f"{path}: holds more than {MAX_BYTES >> 30} GiB")
                description, onnx = json.loads(archive.read(DESCRIPTION)), archive.read(MODEL)
            if description["schema"] != SCHEMA:
                raise ArtifactError(f"{path}: was written by another generation of edgehr: convert the model again")
            stated = description["onnx_sha256"]
            bundle = cls(
                onnx,
                Artifact.from_json(json.dumps(description["artifact"])),
                BuildSettings.from_dict(description["settings"]),
            )
        except FileNotFoundError:
            raise ArtifactError(f"{path}: no such bundle") from None
        except ArtifactError:
            raise
        except _DAMAGE as error:
            raise ArtifactError(f"{path}: not a TensorRT bundle, truncated or foreign ({error})") from None
        if bundle.onnx_sha256 != stated:
            raise ArtifactError(f"{path}: its graph is not the one it was written with: copy the bundle again")
        return bundle


def _entry(name: str) -> zipfile.ZipInfo:
    """Make an entry of fixed date, so that the same conversion gives the same file."""
    entry = zipfile.ZipInfo(name)
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry
