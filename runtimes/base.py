"""The Runtime contract: named tensors in, named tensors out."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgehr.card import ModelCard
from edgehr.errors import EdgehrError
from edgehr.runtimes.artifact import Artifact, require_artifact
from edgehr.runtimes.streams import Streams
from edgehr.runtimes.tensors import OperatorTime, Tensors, TensorSpec, check_inputs

R = TypeVar("R", bound="Runtime")


class Runtime(ABC):
    """A loaded model. Safe to call from several threads; use it as a context manager or call `close`.

    Backends set `inputs` and `outputs` through the constructor and override `_infer`, `_open_streams` where several
    inferences on one thread each can be faster than one on all, and `_profile` where the backend times operators. A
    model of several graphs is the runtime of its main one with the others in `parts`, by name; they are closed with it.

    Args:
        inputs: What the model takes.
        outputs: What it returns.
        path: The file it was opened from, for messages.
        artifact: What it says of itself; None for a model that edgehr did not convert.
        device: Where it runs, in the backend's words.
        precision: The arithmetic it runs in, as read back from the backend where that can tell.
        concurrency: How many inferences `infer_async` keeps under way at once.
        streams: How many inputs `infer_batch` may run side by side, on one thread each.
        batch_range: Smallest and largest batch of a model with dynamic batch; None for no limit.
    """

    backend = ""

    def __init__(
        self,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        *,
        path: Path | None = None,
        artifact: Artifact | None = None,
        device: str = "CPU",
        precision: str = "",
        concurrency: int = 1,
        streams: int = 1,
        batch_range: tuple[int, int | None] = (1, None),
    ) -> None:
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.path = path
        self.artifact = artifact
        self.device = device
        self.precision = precision
        self.batch_range = batch_range
        self.parts: dict[str, Runtime] = {}
        self._concurrency = concurrency
        self._executor: ThreadPoolExecutor | None = None
        self._streams = Streams(self._open_streams, streams, f"edgehr-{self.backend}-streams")
        self._state = threading.Condition()
        self._under_way = 0
        self._closed = False

    def __repr__(self) -> str:
        known = (self.path.name if self.path else "", self.device, self.precision)
        return f"{type(self).__name__}({', '.join(filter(None, known))})"

    @property
    def card(self) -> ModelCard:
        """Return the card of the model, which says what it expects and returns; raises as `require_artifact` does."""
        return self.require_artifact().card

    def require_artifact(self) -> Artifact:
        """Return what the model says of itself.

        Raises:
            ArtifactError: edgehr did not convert the model, so it says nothing.
        """
        return require_artifact(self.artifact, self.path or "the model")

    def infer(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        """Run the model once and wait for it.

        Args:
            inputs: One array for each of `self.inputs`, by name, of that shape and dtype.

        Returns:
            One array for each of `self.outputs`, by name, owned by the caller.

        Raises:
            TensorError: An array is missing, not expected, or of another shape or dtype.
            EdgehrError: The runtime is closed, or the backend failed.
        """
        self._check(inputs)
        with self._counted():
            return self._infer(inputs)

    def infer_async(self, inputs: Tensors) -> Future[dict[str, NDArray[Any]]]:
        """Start the model and return at once; the result is what `infer` would return.

        The arrays must not be changed until the future is done. Raises as `infer` does for wrong inputs.
        """
        self._check(inputs)
        with self._state:
            self._refuse_closed()
            if self._executor is None:
                self._executor = ThreadPoolExecutor(self._concurrency, f"edgehr-{self.backend}")
            return self._executor.submit(self._infer, inputs)

    def infer_batch(self, batch: NDArray[Any], limit: int = 32) -> dict[str, NDArray[Any]]:
        """Run a model of one input on any number of items, in as few inferences as it allows, or one by one.

        On a CPU a model whose batch may be one runs several items side by side, on one thread each, where that is the
        faster way: it opens what it needs for that in the background, once several items have come more than once. The
        results are the same.

        Args:
            batch: (N, ...) items of the model's input, N may be 0; cast to float16 for a model that takes that.
            limit: Largest batch for a model with dynamic batch, if it does not allow fewer. A model with a fixed batch
                gets just that many, the last time filled up with zeros that are cut off again.

        Returns:
            The outputs by name, N items each.

        Raises:
            TensorError: The items have another shape or type than the model takes.
            EdgehrError: The runtime is closed, or the backend failed.
        """
        self._refuse_closed()
        spec = self.inputs[0]
        batch = batch.astype(np.float16, copy=False) if spec.dtype == np.float16 else batch
        fixed = spec.shape[0]
        smallest, largest = (fixed, fixed) if fixed else self.batch_range
        several = smallest == 1 and len(batch) > 1
        if several:  # streams are opened with an example, which has to be right
            spec.check(batch[:1] if fixed else batch)
        if several and self._streams.pay(len(batch), {spec.name: batch[:1]}):
            with self._counted():
                results = self._streams.run([{spec.name: batch[i : i + 1]} for i in range(len(batch))])
        else:
            started = time.perf_counter()
            results = self._infer_in_turn(batch, smallest, fixed or min(limit, largest or limit))
            self._streams.note_whole(len(batch), time.perf_counter() - started)
        if not results:
            return {
                each.name: np.zeros((0, *(size or 0 for size in each.shape[1:])), each.dtype) for each in self.outputs
            }
        if len(results) == 1:
            return results[0]
        return {name: np.concatenate([result[name] for result in results]) for name in results[0]}

    def _infer_in_turn(self, batch: NDArray[Any], smallest: int, step: int) -> list[dict[str, NDArray[Any]]]:
        lots = []
        for start in range(0, len(batch), step):
            items = batch[start : start + step]
            if missing := max(smallest - len(items), 0):
                items = np.concatenate([items, np.zeros((missing, *items.shape[1:]), items.dtype)])
            lots.append({self.inputs[0].name: items})
        left = range(len(batch), 0, -step)  # of the batch, from each lot on
        found = zip(self._infer_each(lots), left, strict=True)
        return [{name: array[:count] for name, array in outputs.items()} for outputs, count in found]

    def _infer_each(self, inputs: Sequence[Tensors]) -> list[dict[str, NDArray[Any]]]:
        """Run several inferences, one after the other where the backend knows nothing better."""
        return [self.infer(each) for each in inputs]

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Let `close` wait for what is done meanwhile."""
        with self._state:
            self._refuse_closed()
            self._under_way += 1
        try:
            yield
        finally:
            with self._state:
                self._under_way -= 1
                self._state.notify_all()

    def open_streams(self, count: int) -> Callable[[Tensors], dict[str, NDArray[Any]]]:
        """Open what so many threads of the caller's run inferences with side by side.

        On a CPU these are copies of the model on one thread each. Elsewhere it is the model itself, which keeps several
        callers busy at once as far as its backend can.

        Args:
            count: How many inferences are to be under way at once, at least 1.

        Returns:
            What does as `infer` does; valid until `close`.

        Raises:
            EdgehrError: The runtime is closed, or the backend cannot open them.
        """
        self._refuse_closed()
        copies = count > 1 and self.device.upper() == "CPU" and type(self)._open_streams is not Runtime._open_streams
        run = self._open_streams(count) if copies else self._infer

        def infer(inputs: Tensors) -> dict[str, NDArray[Any]]:
            self._check(inputs)
            with self._counted():
                return run(inputs)

        return infer

    def set_streams(self, count: int) -> None:
        """Set how many items `infer_batch` may run side by side on a CPU, 1 for none; before its first call."""
        if self.device.upper() == "CPU" and type(self)._open_streams is not Runtime._open_streams:
            self._streams.set_count(count)

    def wait_for_streams(self) -> None:
        """Wait until what `infer_batch` opens in the background is open: measurements begin after that."""
        self._streams.wait()

    def profile(self, inputs: Tensors, runs: int = 20) -> list[OperatorTime]:
        """Run the model some times with a clock in it, which slows it down a little.

        Args:
            inputs: As for `infer`.
            runs: Over how many inferences the times are averaged, after a few more that are not counted.

        Returns:
            The time of each operator that was run, in the order in which they ran first. Of a model of several graphs
            those of the main one.

        Raises:
            TensorError: As for `infer`.
            EdgehrError: The backend does not tell, or failed.
        """
        self._check(inputs)
        with self._counted():
            found = self._profile(inputs, runs)
        if not found:
            raise EdgehrError(f"{self.backend} told no times of operators")
        return found

    def close(self) -> None:
        """Wait for inferences under way and release the model. Closing twice is fine.

        Not to be called in a callback of a future: it would wait for itself.
        """
        with self._state:
            if self._closed:
                return
            self._closed = True
            executor, self._executor = self._executor, None
            self._state.wait_for(lambda: not self._under_way)
        if executor:
            executor.shutdown(wait=True)
        self._streams.close()
        self._close()
        for part in self.parts.values():
            part.close()

    def __enter__(self: R) -> R:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _refuse_closed(self) -> None:
        if self._closed:
            raise EdgehrError("the runtime is closed")

    def _check(self, inputs: Tensors) -> None:
        self._refuse_closed()
        check_inputs(inputs, self.inputs)

    @abstractmethod
    def _infer(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        """Run the model on checked inputs; called from several threads."""

    def _open_streams(self, count: int) -> Callable[[Tensors], dict[str, NDArray[Any]]]:
        """Open so many copies of the model, on one thread each; returns what runs one input on whichever is free."""
        raise NotImplementedError(f"{type(self).__name__} has no streams")

    def _profile(self, inputs: Tensors, runs: int) -> list[OperatorTime]:
        """Time the operators on checked inputs."""
        raise EdgehrError(f"{self.backend} does not tell times of operators in Python")

    def _close(self) -> None:  # noqa: B027 - not every backend holds something
        """Release what the backend holds. Called once, when no inference is under way."""
