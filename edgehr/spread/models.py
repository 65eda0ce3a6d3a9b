"""Models that travel with the work, and what workers run them on."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from edgehr.benchmark.state import read_cores, runtime_version
from edgehr.errors import EdgehrError
from edgehr.files import temporary_folder
from edgehr.runtimes import Runtime
from edgehr.runtimes.formats import find_format, model_files
from edgehr.spread.crews import Crew


@dataclass(frozen=True)
class SentModel:
    """Names a model for workers, with its files where they may be on another machine.

    Attributes:
        name: A file, or whatever else names a model.
        content: Each of its files by name; none where workers find it by `name` themselves.
    """

    name: str
    content: Mapping[str, bytes]

    @classmethod
    def of(cls, name: str, crew: Crew) -> SentModel:
        """Name a model for the workers of a crew.

        Args:
            name: A file, which travels where they may be on other machines, or the name of a model that comes with
                edgehr.
            crew: The crew.
        """
        path = Path(name)
        if not crew.elsewhere or not path.is_file():
            return cls(name, {})
        files = model_files(path) if find_format(path) else [path]
        return cls(name, {file.name: file.read_bytes() for file in files})

    @contextmanager
    def there(self) -> Iterator[str]:
        """Give the name by which this machine opens the model, while the block runs."""
        if not self.content:
            yield self.name
            return
        with temporary_folder() as folder:
            for name, content in self.content.items():
                (folder / name).write_bytes(content)
            yield str(folder / Path(self.name).name)


def check_there(path: Path) -> None:
    """Raise EdgehrError where this machine lacks a file that the one which spreads the work has.

    A worker on another machine may have it: what is done with the file there counts, not that it is missing here.
    """
    if not path.is_file():
        raise EdgehrError(
            f"{path}: is not there on {socket.gethostname()}: let every node see its folder by the same path"
        )


def runs_on(runtime: Runtime | None) -> str:
    """Say in words what a model runs on, or what looks at pictures without one, as far as results may depend on it."""
    try:
        own = f"edgehr {version('edgehr')}"
    except PackageNotFoundError:  # a folder on the path
        own = "edgehr"
    words = (runtime_version(runtime.backend), runtime.device, runtime.precision) if runtime else ()
    return ", ".join(filter(None, (own, " ".join(filter(None, words)), read_cores().processor)))
