"""Results of a measurement, which go through JSON and come back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.benchmark.fresh import Start
from edgehr.benchmark.ranking import TEST, Comparison
from edgehr.benchmark.state import Cores, State, Use
from edgehr.benchmark.throughput import Throughput
from edgehr.benchmark.timing import Latency, WarmUp
from edgehr.errors import EdgehrError
from edgehr.plain_data import check_types
from edgehr.runtimes.tensors import OperatorTime

SCHEMA = 1
_DIGITS = 4  # of milliseconds: a tenth of a microsecond


@dataclass(frozen=True)
class Measured:
    """Holds the figures of a candidate.

    Attributes:
        name: Short and unique in its report.
        path: Its main file.
        model: The name of its card; empty where it has none.
        size_bytes: Of all its files.
        runtime: What it ran on: backend with version, and device.
        precision: The arithmetic it ran in, where that can be told.
        threads: Of one inference; None where that was left to the runtime.
        inputs: What it was fed, in words.
        fed: ``picture`` or ``random``.
        images: How many images an inference is for.
        warm_up: How it came to speed.
        times_ms: (rounds, calls) milliseconds of an inference.
        latency: The same, summed up, of one image.
        rank: 1, and how many others are faster.
        start: How it starts in a new process, and its memory; None where that was not asked for.
        throughput: With several inferences under way; empty where that was not asked for.
        operators: Time of each operator, the longest first; empty where that was not asked for.
        remark: Why there are none of those that were asked for.
    """

    name: str
    path: str
    model: str
    size_bytes: int
    runtime: str
    precision: str
    threads: int | None
    inputs: list[str]
    fed: str
    images: int
    warm_up: WarmUp
    times_ms: NDArray[np.float64]
    latency: Latency
    rank: int
    start: Start | None = None
    throughput: tuple[Throughput, ...] = ()
    operators: tuple[OperatorTime, ...] = ()
    remark: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        lists = {name: [asdict(each) for each in getattr(self, name)] for name in ("throughput", "operators")}
        return {**asdict(self), **lists, "times_ms": np.round(self.times_ms, _DIGITS).tolist()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Measured:
        """Make one of what `to_dict` returned."""
        return cls(
            **{
                **data,
                "warm_up": WarmUp(**data["warm_up"]),
                "times_ms": np.array(data["times_ms"], np.float64),
                "latency": Latency(**data["latency"]),
                "start": Start(**data["start"]) if data["start"] else None,
                "throughput": tuple(Throughput(**each) for each in data["throughput"]),
                "operators": tuple(OperatorTime(**each) for each in data["operators"]),
            }
        )


@dataclass(frozen=True)
class BenchReport:
    """Holds the figures of candidates that were measured in turns.

    Attributes:
        setting: What it was taken on and how, in words.
        state: The machine before and after, and how others used its cores meanwhile; plain JSON types.
        remarks: What makes the figures worth less, in sentences.
        candidates: In the order in which they were named.
        comparisons: Of all pairs.
        min_difference: The smallest difference that counted as one.
        test: What told them apart.
    """

    setting: dict[str, str]
    state: dict[str, Any]
    remarks: list[str]
    candidates: tuple[Measured, ...]
    comparisons: tuple[Comparison, ...]
    min_difference: float
    test: str = TEST

    @property
    def ranked(self) -> list[Measured]:
        """List the candidates, the fastest first."""
        return sorted(self.candidates, key=lambda each: (each.rank, each.latency.p50_ms))

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "schema": SCHEMA,
            "setting": self.setting,
            "state": self.state,
            "remarks": self.remarks,
            "test": self.test,
            "min_difference": self.min_difference,
            "candidates": [each.to_dict() for each in self.candidates],
            "comparisons": [each.to_dict() for each in self.comparisons],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> BenchReport:
        """Make one of what `to_dict` returned.

        Raises:
            EdgehrError: It is something else, or of another version.
        """
        try:
            if data["schema"] != SCHEMA:
                raise EdgehrError("the measurement is of another version of edgehr")
            rest = {name: value for name, value in data.items() if name != "schema"}
            made = cls(
                **{
                    **rest,
                    "candidates": tuple(Measured.from_dict(each) for each in data["candidates"]),
                    "comparisons": tuple(Comparison(**each) for each in data["comparisons"]),
                }
            )
            made._check()
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise EdgehrError(f"this is no measurement of edgehr's: {error}") from None
        return made

    def _check(self) -> None:
        """Refuse what cannot have been measured, as of another machine that is not trusted: see `from_dict`."""
        check_types(self, "the measurement")
        texts = [*self.setting.values(), *self.setting]
        if not all(isinstance(text, str) for text in texts) or not {"machine", "software"} <= set(self.setting):
            raise TypeError("its setting is not in words")
        for name, kind in {"before": State, "after": State, "use": Use, "cores": Cores}.items():
            if set(self.state[name]) != {each.name for each in fields(kind)}:
                raise TypeError(f"the state of the machine, {name}, is not what this edgehr knows")
            state = kind(**self.state[name])
            check_types(state, "the measurement")
            if isinstance(state, State) and not all(
                isinstance(each, (int, float)) for each in state.temperatures.values()
            ):
                raise TypeError("a temperature is no number")
        names = [each.name for each in self.candidates]
        pairs = {frozenset((each.first, each.second)) for each in self.comparisons}
        if len(set(names)) < len(names) or pairs != set(map(frozenset, combinations(names, 2))):
            raise ValueError("it does not compare each candidate with each other")
        if any(each.times_ms.ndim != 2 or not np.isfinite(each.times_ms).all() for each in self.candidates):
            raise ValueError("the times are no numbers")
