"""Strangers: checkpoints that run code, files that name others, servers and clients that do what they should not.

Each is refused, by the real loader or server, and nothing happens outside of what it was given.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random

from tests.campaign import BrokenPromiseError, Case, Draw
from tests.campaign.damage_samples import make_samples
from tests.campaign.stranger_clients import CLIENTS, TOKEN, alive, pages
from tests.campaign.stranger_downloads import download, servers
from tests.campaign.stranger_files import MAKERS, secret
from tests.campaign.stranger_pickles import attack
from tests.campaign.worker import Worker

COUNT = 2_000
# Kind -> how many of a thousand cases.
WEIGHTS = {
    "pickle": 450,
    "download": 100,
    **{f"file: {name}": 30 for name in MAKERS},
    "page: token": 60,
    "page: origin": 50,
    "page: traversal": 50,
    "page: oversized": 20,
    "page: messages": 14,
    "page: noise": 14,
    "page: slow": 1,
    "page: viewers": 1,
}


@contextmanager
def open_campaign(folder: Path) -> Iterator[Draw]:
    """Start the servers, make whole files, and give what draws strangers."""
    samples = folder / "samples"
    make_samples(samples)
    worker = Worker(folder / "child")
    with servers(folder) as addresses, pages() as (plain, guarded):

        def page(name: str, chance: Random) -> str:
            said = CLIENTS[name](plain, guarded, chance)
            alive(plain)
            alive(guarded, TOKEN)
            return said

        runs: dict[str, Callable[[Random], str]] = {
            "pickle": partial(_pickle, worker, folder),
            "download": partial(download, addresses, folder / "cache"),
            **{f"file: {name}": partial(_file, worker, folder, samples, name) for name in MAKERS},
            **{f"page: {name}": partial(page, name) for name in CLIENTS},
        }

        def draw(number: int, chance: Random) -> Case:
            kind = chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
            seed = chance.getrandbits(64)
            return Case(kind, lambda: runs[kind](Random(seed)))  # noqa: S311

        try:
            yield draw
        finally:
            worker.stop()


def _given(folder: Path) -> Path:
    given = folder / "given" / "bytes"
    shutil.rmtree(folder / "given", ignore_errors=True)
    given.mkdir(parents=True)
    return given


def _pickle(worker: Worker, folder: Path, chance: Random) -> str:
    given, mark = _given(folder), folder / "mark"
    suffix, content = attack(chance, str(mark))
    (given / f"a{suffix}").write_bytes(content)
    said = worker.run("attack", given, given)
    if mark.exists():
        mark.unlink()
        raise BrokenPromiseError("code of a checkpoint was run")
    return said


def _file(worker: Worker, folder: Path, samples: Path, name: str, chance: Random) -> str:
    given, outside = _given(folder), folder / "given" / "outside.bin"
    secret(outside)
    MAKERS[name](given, samples, chance, outside)
    said = worker.run(f"stranger {name}", given, samples / name)
    if said not in ("refused", "harmless"):
        raise BrokenPromiseError(f"{name}: {said}")
    return said
