"""What takes long to make and is the same for many tests: made once a session, for all its workers."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock


class Store:
    """A folder that all workers of a session share: who asks first for a file makes it, the others wait for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)

    def file(self, name: str, make: Callable[[Path], object]) -> Path:
        """The file of that name. `make` writes it in one go, as `convert` does: a file that is there is whole."""
        path = self.folder / name
        with FileLock(f"{path}.lock"):
            if not path.exists():
                make(path)
        return path

    def content(self, key: bytes, make: Callable[[], bytes]) -> bytes:
        """What `make` returned to who asked first for this key."""

        def write(path: Path) -> None:
            unfinished = path.with_suffix(".unfinished")
            unfinished.write_bytes(make())
            os.replace(unfinished, path)

        return self.file(hashlib.sha256(key).hexdigest(), write).read_bytes()


class KeptExports:
    """Exports and simplifies each network once: a conversion takes most of its time there.

    What is kept is what the same code made of the same input, to the last bit, earlier in this session.
    """

    def __init__(self, store: Store) -> None:
        from edgehr.converters import source
        from edgehr.converters.onnx import simplify

        self._store = store
        self._places = {"export_onnx": source, "export_graph": source, "simplify": simplify}
        self.originals: dict[str, Any] = {name: getattr(place, name) for name, place in self._places.items()}

    def take_over(self, patch: Any) -> None:
        """Let `convert` use this, until the patch is undone."""
        for name, place in self._places.items():
            patch.setattr(place, name, getattr(self, name))

    def export_onnx(self, network: Any, card: Any, batch: int | None) -> Any:
        import onnx

        def make() -> bytes:
            content: bytes = self.originals["export_onnx"](network, card, batch).SerializeToString()
            return content

        return onnx.load_from_string(self._store.content(_key("export", network, *_of(card), batch), make))

    def export_graph(self, network: Any, name: str, *more: Any) -> Any:
        """The same of a part of a model."""
        import onnx

        def make() -> bytes:
            content: bytes = self.originals["export_graph"](network, name, *more).SerializeToString()
            return content

        return onnx.load_from_string(self._store.content(_key("export", network, name, *more), make))

    def simplify(self, model: Any) -> tuple[Any, str]:
        import onnx

        def make() -> bytes:
            simplified, failure = self.originals["simplify"](model)
            return pickle.dumps((simplified.SerializeToString(), failure))

        key = _key("simplify", model.SerializeToString(deterministic=True))
        simplified, failure = pickle.loads(self._store.content(key, make))  # noqa: S301
        return onnx.load_from_string(simplified), failure

    def simplified(self, network: Any, card: Any, batch: int | None) -> tuple[Any, str]:
        """Both, as every target from a graph starts."""
        return self.simplify(self.export_onnx(network, card, batch))


def _of(card: Any) -> tuple[Any, ...]:
    """What an export takes from a card; the weights are in the network."""
    return card.name, card.input, card.outputs


def _key(*parts: Any) -> bytes:
    """The same bytes for the same things, in another process too; nothing reads them back."""
    import torch

    class ByValue(pickle.Pickler):
        def reducer_override(self, value: Any) -> Any:
            if isinstance(value, torch.Tensor):  # PyTorch would write where it lies
                return bytes, (value.detach().contiguous().numpy().tobytes(),)
            return NotImplemented

    written = io.BytesIO()
    ByValue(written).dump(parts)
    return written.getvalue()
