"""Writing the page's folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

from edgehr.errors import EdgehrError
from edgehr.files import atomic_folder
from edgehr.live.web_demo.models import PageModel, read_models
from edgehr.live.web_demo.npm import Package, fetch_package, unpack

PAGE = Path(__file__).parent / "page"
# Of the live page, whose looks this one shares.
SHARED = Path(__file__).parent.parent / "web" / "static"
SHARED_FILES = ("style.css", "icon.svg")
DESCRIPTION = "demo.json"

MIT = """Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation
the rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and
to permit persons to whom the Software is furnished to do so, subject to the following conditions: The above
copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software. THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT
LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT
SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION
OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER
DEALINGS IN THE SOFTWARE."""
NOTICES = {
    "MIT": f"Copyright (c) Microsoft Corporation. The MIT License:\n\n{MIT}",
    "Apache-2.0": "Copyright Google LLC. The Apache License 2.0: https://www.apache.org/licenses/LICENSE-2.0\n"
    "edgehr changed one import in litert/index.js.",
}

Progress = Callable[[str, int, "int | None"], None]


@dataclass(frozen=True)
class Folder:
    """Tells what was written.

    Attributes:
        path: The folder.
        models: What it holds, by what each is for.
        packages: What runs them.
        bytes: Size of all its files.
    """

    path: Path
    models: Mapping[str, PageModel]
    packages: tuple[Package, ...]
    bytes: int


def make_folder(
    model: str | Path,
    out: Path,
    *,
    detector: str | Path | None = None,
    segmenter: str | Path | None = None,
    registry: str | None = None,
    progress: Progress | None = None,
) -> Folder:
    """Write a static folder whose page runs a model on a camera, pictures and videos in any browser.

    Args:
        model: An artifact (``.onnx``, ``.tflite``), or the name of a model that ships with edgehr.
        out: The folder, which must not be there, or be empty.
        detector: The same of what finds people, or faces for landmarks; None finds one person without, and takes the
            whole picture for a face.
        segmenter: The same of what tells people from the background, which is then blurred.
        registry: Address of the npm registry that the browser's runtimes come from; None for npm's configured one.
        progress: Told of downloads: the archive's name, bytes so far, and in all where that is known.

    Raises:
        EdgehrError: A model is none that a browser runs, the folder is there, or a download fails.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise EdgehrError(f"{out}: is there already: delete it, or choose another folder with --out")
    models = read_models(model, detector, segmenter)
    packages = tuple(dict.fromkeys(package for each in models.values() for package in each.packages))
    archives = [
        fetch_package(package, registry, None if progress is None else partial(progress, package.archive))
        for package in packages
    ]
    if out.is_dir():
        out.rmdir()
    with atomic_folder(out.absolute()) as scratch:
        _write_page(scratch, models)
        for package, archive in zip(packages, archives, strict=True):
            unpack(package, archive, scratch / "runtime")
        (scratch / "runtime" / "NOTICE.txt").write_text(_notice(packages), encoding="utf-8")
        size = sum(path.stat().st_size for path in scratch.rglob("*") if path.is_file())
    return Folder(out, models, packages, size)


def _write_page(folder: Path, models: Mapping[str, PageModel]) -> None:
    shutil.copytree(PAGE, folder, dirs_exist_ok=True)
    for name in SHARED_FILES:
        shutil.copyfile(SHARED / name, folder / name)
    (folder / "models").mkdir()
    entries = {}
    for role, model in models.items():
        file = f"models/{role}{model.path.suffix}"
        content = model.content()
        (folder / file).write_bytes(content)
        entries[role] = model.entry(file, len(content))
    description = {"edgehr": version("edgehr"), "models": entries}
    (folder / DESCRIPTION).write_text(json.dumps(description, indent=1), encoding="utf-8")


def _notice(packages: tuple[Package, ...]) -> str:
    parts = [f"{each.name} {each.version}, {each.license}, {each.home}\n{NOTICES[each.license]}\n" for each in packages]
    return "\n".join(parts)
