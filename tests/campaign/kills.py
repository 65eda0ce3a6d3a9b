"""Kills: every command that writes files is stopped at a random moment, or meets a folder that it cannot write to.

Whatever happens, nothing, the whole old result or the whole new one lies under a result's name; the same command then
succeeds without anything being cleaned by hand, and what was left over is gone.
"""

from __future__ import annotations

import importlib
import importlib.util
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from random import Random

import pytest

from edgehr.unfinished import finish_moves
from tests.campaign import BrokenPromiseError, Case, Draw
from tests.campaign.children import Ended, Place, Stop, in_child, run
from tests.campaign.commands import COMMANDS, Command, prepare, remote
from tests.campaign.disks import small_disk
from tests.campaign.references import Reference, References, state, succeed

COUNT = 1200
FAULTS = ("full disk", "read-only folder", "folder removed")
FAULT_SHARE = 0.15
FRESH_SHARE, FRESH_CONVERT_SHARE = (
    0.05,
    0.003,
)  # of processes that are really new: those that convert need half a minute
COLD_SHARE = 0.005  # without what an earlier calibration has left in the cache, which is most of the work of INT8
IMPORTED = ("torch", "onnx", "onnxscript", "onnxsim", "onnxruntime", "openvino", "ai_edge_litert.interpreter", "cv2")
IMPORTED += (
    "ai_edge_quantizer",
    "tensorrt_rtx",
    "edgehr.converters.convert",
    "edgehr.tune.search",
    "matplotlib",
    "rich",
)


@contextmanager
def open_campaign(folder: Path, commands: Sequence[Command] = COMMANDS) -> Iterator[Draw]:
    """Prepare what commands need; see `tests.campaign`."""
    inputs = folder / "inputs"
    inputs.mkdir()
    kept = {name: folder.parent / f"kills-{name}" for name in ("weights", "exports", "calibration")}
    for each in kept.values():
        each.mkdir(exist_ok=True)
    with ExitStack() as stack:
        in_child(prepare, inputs, commands, kept["weights"])
        stack.enter_context(remote(inputs))
        chosen = [command for command in commands if not command.needs or importlib.util.find_spec(command.needs)]
        warm_up = cache(lambda: stack.enter_context(_warmed_up(kept["exports"])))
        kills = _Kills(folder, inputs, chosen, References(folder, inputs, kept["calibration"]), warm_up)
        yield kills.draw


@contextmanager
def _warmed_up(store: Path) -> Iterator[None]:
    """Import what commands would import, and let them take exports that were made before, and race shortly."""
    from tests.made_once import KeptExports, Store

    for name in IMPORTED:
        if importlib.util.find_spec(name.split(".")[0]):
            importlib.import_module(name)
    from edgehr.tune import race, steps

    with pytest.MonkeyPatch.context() as patch:
        KeptExports(Store(store)).take_over(patch)
        patch.setattr(race, "ROUNDS", 4)
        patch.setattr(steps, "FINAL_S", 0.2)
        yield


class _Kills:
    def __init__(
        self,
        folder: Path,
        inputs: Path,
        commands: Sequence[Command],
        references: References,
        warm_up: Callable[[], None],
    ) -> None:
        self._folder, self._inputs, self._commands = folder, inputs, commands
        self._references, self._warm_up = references, warm_up

    def _reference(self, command: Command) -> Reference:
        if command.converts:
            self._warm_up()
        return self._references.of(command)

    def draw(self, number: int, random: Random) -> Case:
        (command,) = random.choices(self._commands, [command.weight for command in self._commands])
        has_old = bool(command.old) and random.random() < 0.6
        fault = random.choice(FAULTS) if random.random() < FAULT_SHARE else ""
        share = FRESH_CONVERT_SHARE if command.converts else FRESH_SHARE
        fresh, by_time = random.random() < share, random.random() < 0.5
        sent = signal.SIGTERM if random.random() < 0.3 else signal.SIGKILL
        moment, warm = random.random(), random.random() > COLD_SHARE
        if fault == "folder removed":
            return self._case(fault, command, has_old, warm, lambda c, p, r: self._remove(c, p, r, moment, by_time))
        if fault:
            return Case(fault, lambda: self._on_disk(command, has_old, moment, full=fault == "full disk"))

        def kill(command: Command, place: Place, reference: Reference) -> str:
            return self._kill(command, place, reference, sent, moment, by_time=by_time or fresh, fresh=fresh)

        return self._case(command.kind, command, has_old, warm, kill)

    def _case(
        self,
        kind: str,
        command: Command,
        has_old: bool,
        warm: bool,
        disturb: Callable[[Command, Place, Reference], str],
    ) -> Case:
        def run_it() -> str:
            root = self._folder / "case"
            shutil.rmtree(root, ignore_errors=True)
            place = Place(root, root / "log").make()
            reference = self._reference(command)
            self._put_old(place, reference, has_old)
            if warm and command.cached:
                shutil.copytree(reference.cache, place.folders[2], dirs_exist_ok=True)
            outcome = disturb(command, place, reference)
            self._repeat(command, place, reference, has_old)
            return outcome

        return Case(kind, run_it)

    def _put_old(self, place: Place, reference: Reference, has_old: bool) -> None:
        if has_old and reference.old_files:
            shutil.copytree(reference.old_files, place.work, dirs_exist_ok=True)

    def _kill(
        self,
        command: Command,
        place: Place,
        reference: Reference,
        sent: signal.Signals,
        moment: float,
        *,
        by_time: bool,
        fresh: bool,
    ) -> str:
        before = place.listing()
        usual = self._references.fresh_seconds(command) if fresh else reference.seconds
        late = 1.05  # now and then after the end
        change = None if by_time else 1 + int(moment * late * reference.changes)
        stop = Stop(sent, late * moment * usual if by_time else None, change)
        ended = run(command.line(self._inputs), place, stop, fresh=fresh)
        if ended.status not in (0, -sent, 128 + sent):
            raise BrokenPromiseError(f"{sent.name}: ended with {ended.status}: {ended.said[-300:]}")
        self._check_said(ended)
        if ended.status == 128 + sent:
            if [line for line in ended.lines if not line.endswith(": ended by SIGTERM")] or not ended.lines:
                raise BrokenPromiseError(f"{sent.name}: said {ended.said[-300:]}")
            self._check_tidy(place, before | reference.listing)
        outcome = self._check_outputs(command, place, reference)
        return "ended before" if ended.status == 0 and outcome == "the new" else outcome

    def _remove(self, command: Command, place: Place, reference: Reference, moment: float, by_time: bool) -> str:
        removed = place.work / "out" if command.kind != "fetch" else place.folders[2]
        change = None if by_time else 1 + int(moment * reference.changes)
        ended = run(
            command.line(self._inputs), place, Stop(0, moment * reference.seconds if by_time else None, change, removed)
        )
        self._check_failed_or_done(ended)
        place.make()
        self._check_outputs(command, place, reference)
        return "done" if ended.status == 0 else "one line"

    def _on_disk(self, command: Command, has_old: bool, moment: float, *, full: bool) -> str:
        reference = self._reference(command)
        with small_disk(self._folder / "disk") as disk:
            place = Place(disk.folder, self._folder / "disk-log").make()
            self._put_old(place, reference, has_old)
            if full:
                disk.leave(int((0.02 + 0.96 * moment) * max(reference.size, 1 << 16)))
            else:
                disk.lock()
            ended = run(command.line(self._inputs), place, limit=disk.limit)
            self._check_failed_or_done(ended)
            outcome = self._check_outputs(command, place, reference)
            if ended.status == 0 and command.outputs and outcome != "the new":
                raise BrokenPromiseError(f"{command.kind}: ended with 0, but there is {outcome} one")
            disk.release()
            self._repeat(command, place, reference, has_old)
        return "done" if ended.status == 0 else "one line"

    def _repeat(self, command: Command, place: Place, reference: Reference, has_old: bool) -> None:
        succeed(command, command.line(self._inputs), place)
        for output in command.outputs:
            found = state(output, place, reference)
            if found == "nothing" or (found == "old" and output.check is None):
                raise BrokenPromiseError(f"repeated, but as {output.files[0]} there is {found}")
        self._check_tidy(place, reference.listing | (reference.old_listing if has_old else set()))

    def _check_outputs(self, command: Command, place: Place, reference: Reference) -> str:
        if (place.work / "out").is_dir():
            in_child(finish_moves, place.work / "out")  # as whoever opens a model there does
        states = {state(output, place, reference) for output in command.outputs}
        if not states or states == {"nothing"}:
            return "none"
        return f"the {states.pop()}" if len(states) == 1 else "several"

    def _check_said(self, ended: Ended) -> None:
        if "Traceback" in ended.said:
            raise BrokenPromiseError(f"a traceback: {ended.said[-400:]}")

    def _check_failed_or_done(self, ended: Ended) -> None:
        self._check_said(ended)
        if ended.status not in (0, 1) or (ended.status == 1 and len(ended.lines) != 1):
            raise BrokenPromiseError(f"ended with {ended.status} and said: {ended.said[-300:]}")

    def _check_tidy(self, place: Place, expected: set[str]) -> None:
        left = {name for name in place.listing() - expected if not name.endswith((".part", "/out", "/weights"))}
        if left:
            raise BrokenPromiseError(f"left over: {', '.join(sorted(left)[:5])}")
