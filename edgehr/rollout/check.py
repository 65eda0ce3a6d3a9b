"""The self-check: a model opens, and returns for a picture that ships with edgehr what it returned elsewhere.

A sample of each output is kept: values from all over it, and its largest ones, which are what is read from it. They are
compared by the root of the mean squared difference, as a part of the output's standard deviation: machines round in
their own way, so that few are equal to the last bit.

Pull runs this file in a process of its own, which a model that crashes ends alone.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgehr.benchmark.candidates import feed
from edgehr.errors import EdgehrError
from edgehr.runtimes import load

TOLERANCE = 0.1
SPREAD, LARGEST = 128, 64  # values of a sample


@dataclass(frozen=True)
class Sample:
    """Holds some values of an output.

    Attributes:
        shape: Of the output.
        deviation: The standard deviation of all its values.
        places: Of the values in the output, counted row by row.
        values: What is there.
    """

    shape: tuple[int, ...]
    deviation: float
    places: tuple[int, ...]
    values: tuple[float, ...]

    @classmethod
    def of(cls, output: NDArray[Any]) -> Sample:
        """Take a sample of an output."""
        flat = np.asarray(output, np.float64).ravel()
        evenly = np.linspace(0, len(flat) - 1, min(SPREAD, len(flat))).round().astype(int)
        largest = np.argsort(-np.abs(flat), kind="stable")[:LARGEST]
        places = np.union1d(evenly, largest) if len(flat) else np.zeros(0, int)
        values = tuple(float(f"{value:.6g}") for value in flat[places])
        return cls(output.shape, float(flat.std()) if len(flat) else 0.0, tuple(places.tolist()), values)

    def difference(self, output: NDArray[Any]) -> float:
        """Compare another machine's output: infinite where it is of another shape or holds what is no number."""
        if output.shape != self.shape:
            return float("inf")
        apart = np.asarray(output, np.float64).ravel()[list(self.places)] - np.array(self.values)
        if not len(apart):
            return 0.0
        found = float(np.sqrt(np.square(apart).mean()) / max(self.deviation, 1e-9))
        return found if np.isfinite(found) else float("inf")


@dataclass(frozen=True)
class Check:
    """Holds what a model returned where it works.

    Attributes:
        outputs: A sample of each output, by name.
        tolerance: How far another machine may be off, in standard deviations.
    """

    outputs: Mapping[str, Sample]
    tolerance: float = TOLERANCE

    @classmethod
    def of(cls, path: Path, tolerance: float = TOLERANCE) -> Check:
        """Run a model here; raises EdgehrError where it does not run, or returns what is no number."""
        outputs = run(path)
        for name, output in outputs.items():
            if not np.isfinite(np.asarray(output, np.float64)).all():
                raise EdgehrError(f"{path}: its output {name} holds values that are no numbers: it is not rolled out")
        return cls({name: Sample.of(output) for name, output in outputs.items()}, tolerance)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Check:
        """Make one of plain JSON types; raises TypeError, KeyError, AttributeError or ValueError for what is none."""
        samples = {}
        for name, told in data["outputs"].items():
            shape, places = (tuple(int(value) for value in told[key]) for key in ("shape", "places"))
            values = tuple(float(value) for value in told["values"])
            size = int(np.prod(shape, dtype=np.int64)) if min(shape, default=0) >= 0 else -1
            if len(places) != len(values) or not all(0 <= place < size for place in places):
                raise ValueError(f"the sample of {name} has places that are none")
            samples[str(name)] = Sample(shape, float(told["deviation"]), places, values)
        return cls(samples, float(data["tolerance"]))

    def difference(self, path: Path) -> float:
        """Run a model here and return the largest difference of its outputs, in standard deviations.

        Raises:
            EdgehrError: It does not run, or returns other outputs, of another shape, or values that are no numbers.
        """
        outputs = run(path)
        if set(outputs) != set(self.outputs):
            raise EdgehrError(f"returns {', '.join(outputs)}, not {', '.join(self.outputs)}")
        found = max((sample.difference(outputs[name]) for name, sample in self.outputs.items()), default=0.0)
        if not np.isfinite(found):
            raise EdgehrError(f"{path}: returns outputs of another shape than elsewhere, or values that are no numbers")
        return found


def run(path: Path) -> dict[str, NDArray[Any]]:
    """Open a model and run it on its picture; raises EdgehrError where that fails."""
    with load(path) as runtime:
        found = feed(runtime, {}).call()
        if not isinstance(found, dict):
            raise EdgehrError(f"{path}: returned no outputs")
        return found


def main(path: str, check: str) -> int:
    """Check a model, and print what came of it as JSON."""
    try:
        reference = json.loads(Path(check).read_bytes())
        told: dict[str, Any]
        if reference is None:
            run(Path(path))
            told = {"difference": None}
        else:
            told = {"difference": Check.from_dict(reference).difference(Path(path))}
    except EdgehrError as error:
        told = {"error": str(error)}
    print(json.dumps(told))
    return 0


def plain(check: Check | None) -> Any:
    """Return plain JSON types."""
    return None if check is None else asdict(check)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
