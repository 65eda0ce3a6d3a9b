"""Measure candidates beside each other on the machine in front of you."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.benchmark.busy import busy_processes
from edgehr.benchmark.candidates import RANDOM, Candidate, Opened
from edgehr.benchmark.fresh import Start, start_fresh
from edgehr.benchmark.naming import candidate_names
from edgehr.benchmark.ranking import MIN_DIFFERENCE, compare, ranks
from edgehr.benchmark.results import BenchReport, Measured
from edgehr.benchmark.state import UseMeter, machine, read_cores, read_state, remarks, runtime_version, software
from edgehr.benchmark.throughput import Throughput, measure_throughput
from edgehr.benchmark.timing import PAUSE_S, Latency, WarmUp, calls_a_turn, interleaved, rounds_for, warm_up
from edgehr.errors import EdgehrError
from edgehr.progress import ProgressBar, no_bar
from edgehr.runtimes.formats import format_of
from edgehr.runtimes.tensors import OperatorTime

_LOG = logging.getLogger("edgehr.benchmark")


@dataclass(frozen=True)
class Settings:
    """Says how candidates are measured.

    Attributes:
        rounds: Turns of each; None for as many as `seconds` allow.
        seconds: Time for each candidate's turns.
        streams: Numbers of inferences under way at once that throughput is measured with; none leaves it out, None
            is as many as there are cores.
        starts: New processes that each is started in; 0 leaves it out.
        busy: Processes beside it that keep cores busy.
        profile: Time operators.
        min_difference: The smallest difference worth telling, as a fraction.
        seed: Of the order of turns.
    """

    rounds: int | None = None
    seconds: float = 6.0
    streams: tuple[int, ...] | None = ()
    starts: int = 3
    busy: int = 0
    profile: bool = False
    min_difference: float = MIN_DIFFERENCE
    seed: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {**vars(self), "streams": None if self.streams is None else list(self.streams)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Settings:
        """Make one of what `to_dict` returned."""
        return cls(**{**data, "streams": None if data["streams"] is None else tuple(data["streams"])})


def run_bench(candidates: Sequence[Candidate], settings: Settings, bar: ProgressBar = no_bar) -> BenchReport:
    """Measure candidates in turns, and say which are faster.

    Args:
        candidates: At least one.
        settings: How.
        bar: Shows progress.

    Raises:
        EdgehrError: A candidate cannot be opened, fed or run.
    """
    names = candidate_names(candidates)
    _LOG.info("measuring %s: %s", ", ".join(names), settings)
    cores, before = read_cores(), read_state()
    with ExitStack() as stack:
        opened = []
        for name, candidate in zip(names, candidates, strict=True):
            runtime = stack.enter_context(candidate.open())
            opened.append(Opened(name, candidate, runtime, candidate.feed(runtime)))
        # Not before all are open: what is wrong with one is said at once.
        load = stack.enter_context(busy_processes(settings.busy))
        starts = _starts(opened, settings.starts, bar)
        meter = UseMeter(load)
        warm_ups, times = _latency(opened, settings, bar)
        call_ms = {name: each.call_ms for name, each in warm_ups.items()}
        windows = max(3, len(times[names[0]]) // 4)
        streams = (cores.usable,) if settings.streams is None else settings.streams
        throughput = measure_throughput(opened, call_ms, streams, windows, settings.seed, bar)
        use, after = meter.read(), read_state()
        profiles = {each.name: _profile(each) for each in opened} if settings.profile else {}
        images = {each.name: each.feed.images for each in opened}
        comparisons = compare({name: times[name] / images[name] for name in names}, settings.min_difference)
        ranked = ranks(names, comparisons)
        measured = tuple(
            _measured(
                each,
                warm_ups[each.name],
                times[each.name],
                ranked[each.name],
                starts.get(each.name),
                throughput.get(each.name, ()),
                profiles.get(each.name, ((), "")),
            )
            for each in opened
        )
    return BenchReport(
        setting=_setting(opened, settings, len(times[names[0]])),
        state={"before": before.to_dict(), "after": after.to_dict(), "use": use.to_dict(), "cores": asdict(cores)},
        remarks=[*remarks(cores, before, after, use), *_unsteady(measured)],
        candidates=measured,
        comparisons=tuple(comparisons),
        min_difference=settings.min_difference,
    )


def _starts(opened: Sequence[Opened], count: int, bar: ProgressBar) -> dict[str, Start]:
    """Start each in new processes, in turns; the medians."""
    if not count:
        return {}
    found: dict[str, list[Start]] = {each.name: [] for each in opened}
    with bar("starting", count * len(opened)) as progress:
        for _ in range(count):
            for each in opened:
                found[each.name].append(start_fresh(each.candidate.to_dict()))
                progress.advance()
    return {name: Start.median(all_of) for name, all_of in found.items()}


def _latency(
    opened: Sequence[Opened], settings: Settings, bar: ProgressBar
) -> tuple[dict[str, WarmUp], dict[str, NDArray[np.float64]]]:
    warm_ups = {}
    with bar("warming up", len(opened)) as progress:
        for each in opened:
            warm_ups[each.name] = warm_up(each.feed.call)
            progress.advance()
    call_ms = {name: each.call_ms for name, each in warm_ups.items()}
    rounds = settings.rounds or rounds_for(settings.seconds, call_ms, PAUSE_S)
    with bar("timing", rounds) as progress:
        times = interleaved(
            {each.name: each.feed.call for each in opened},
            rounds,
            warm_up=0,
            pause_s=PAUSE_S,
            progress=progress.advance,
            calls={name: calls_a_turn(each) for name, each in call_ms.items()},
            lead=1,
            seed=settings.seed,
        )
    return warm_ups, times


def _profile(each: Opened) -> tuple[tuple[OperatorTime, ...], str]:
    try:
        found = each.runtime.profile(each.feed.inputs)
    except EdgehrError as error:
        return (), str(error)
    return tuple(sorted(found, key=lambda operator: -operator.ms)), ""


def _measured(
    each: Opened,
    warmed: WarmUp,
    times: NDArray[np.float64],
    rank: int,
    start: Start | None,
    throughput: tuple[Throughput, ...],
    profile: tuple[tuple[OperatorTime, ...], str],
) -> Measured:
    path, artifact = each.candidate.path, each.runtime.artifact
    files = [*format_of(path).files(path), *(part.path for part in each.runtime.parts.values() if part.path)]
    return Measured(
        name=each.name,
        path=str(path),
        model=artifact.card.name if artifact else "",
        size_bytes=sum(file.stat().st_size for file in files),
        runtime=f"{runtime_version(each.runtime.backend)} {each.runtime.device}",
        precision=each.runtime.precision,
        threads=each.candidate.threads,
        inputs=[f"{name} {array.dtype} {array.shape}" for name, array in each.feed.inputs.items()],
        fed=each.feed.kind,
        images=each.feed.images,
        warm_up=warmed,
        times_ms=times,
        latency=Latency.of(times, each.feed.images),
        rank=rank,
        start=start,
        throughput=throughput,
        operators=profile[0],
        remark=profile[1],
    )


def _setting(opened: Sequence[Opened], settings: Settings, rounds: int) -> dict[str, str]:
    """Say what the figures were taken on and how."""
    random = [each.name for each in opened if each.feed.kind == RANDOM]
    fed = "a picture that ships with edgehr"
    if random:
        of = "" if len(random) == len(opened) else f" for {', '.join(random)}"
        fed = f"random numbers{of}: what the model expects is not known"
    return {
        "machine": machine(),
        "software": software(),
        "inputs": fed,
        "timing": f"{rounds} rounds in turns, in random order, after warm-up",
        **({"load": f"busy processes beside it: {settings.busy}"} if settings.busy else {}),
    }


def _unsteady(measured: Sequence[Measured]) -> list[str]:
    names = [each.name for each in measured if not each.warm_up.steady]
    return [f"{', '.join(names)} had not come to a steady speed when the timing began"] if names else []
