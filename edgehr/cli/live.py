"""The loop of the demo: results are drawn, shown, saved and counted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

from edgehr.benchmark.board import Board, read_board
from edgehr.cli.common.output import progress_bar
from edgehr.errors import EdgehrError
from edgehr.live.drawing import draw_label
from edgehr.live.predictors.base import Predictor, PredictorResult
from edgehr.live.sinks import SinkGroup, StopRequested
from edgehr.live.sources import Frame, Source
from edgehr.live.timing import StageTimes

if TYPE_CHECKING:
    from edgehr.live.web import WebServer

BOARD_EVERY_S = 2.0

Stages = dict[str, dict[str, float]]
Found = tuple[Frame, PredictorResult]


def go_through(
    source: Source,
    predictor: Predictor[Any, Any],
    sinks: SinkGroup,
    server: WebServer | None,
    *,
    max_frames: int | None = None,
    collect: bool = False,
) -> dict[str, Any]:
    """Run until the source ends, the window is closed, enough frames are through, or Ctrl-C.

    What is found before the source or the model fails counts: the summary then has the problem.

    Args:
        source: Where frames come from.
        predictor: Predicts for each frame.
        sinks: Take the drawn frames and the results.
        server: Shows the frames on a page, if there is one.
        max_frames: Frames after which to stop.
        collect: Return every result, which takes memory for each frame.

    Returns:
        The summary, in plain JSON types.
    """
    run = DemoRun(source, predictor, server)
    with progress_bar(source.name, max_frames or source.count or None) as progress:
        try:
            with closing(predictor.results(source, run.times)) as results:
                for frame, result in run.until_problem(results):
                    run.show(frame, result)
                    with run.times.measure("write"):
                        sinks.write(frame, result)
                    if collect:
                        run.collected.append({**result.to_dict(), "frame": frame.name})
                    progress.update(run.frames)
                    if run.frames == max_frames:
                        break
        except (KeyboardInterrupt, StopRequested) as end:
            run.interrupted = isinstance(end, KeyboardInterrupt)
    return run.summary(collect)


class DemoRun:
    """The counts and times of a run, and the picture that tells of them."""

    def __init__(self, source: Source, predictor: Predictor[Any, Any], server: WebServer | None) -> None:
        self.times = StageTimes()
        self.frames = self.frames_with = 0
        self.collected: list[dict[str, Any]] = []
        self.interrupted = False
        self.problem = ""
        self._source, self._predictor, self._server = source, predictor, server
        self._card, runtime = predictor.card, predictor.runtime
        self._runtime = f"{runtime.backend} {runtime.device} {runtime.precision}".strip()
        self._board: Board | None = None
        self._board_read_s = float("-inf")
        self._started = time.perf_counter()

    def until_problem(self, results: Iterator[Found]) -> Iterator[Found]:
        """Give the results, up to where the source or the model fails; raises EdgehrError where that is at once."""
        try:
            yield from results
        except EdgehrError as error:
            if not self.frames:
                raise
            self.problem = str(error)

    def show(self, frame: Frame, result: PredictorResult) -> None:
        """Draw the result and what the run has come to, and publish the picture."""
        self.frames += 1
        self.frames_with += len(result) > 0
        stages = self.times.summary()
        with self.times.measure("draw"):
            self._predictor.draw(frame.image, result)
            draw_label(frame.image, self._lines(stages))
        if self._server is not None:
            self._server.publish(frame, self._status(len(result), stages))

    def _lines(self, stages: Stages) -> list[str]:
        listed = "  ".join(f"{stage} {times['p50']:.1f}/{times['p95']:.1f}" for stage, times in stages.items())
        lines = [f"{self._card.name} ({self._card.weights.origin} weights), {self._runtime}"]
        if self._source.kind != "images":
            rate = f"{self.times.fps:.1f} fps  " if self.times.fps else ""  # of the first frame it is not known
            lines.append(f"{rate}ms p50/p95: {listed}")
        board = self._read_board()
        return [*lines, f"{board.power_mode}, {board.clocks}"] if board else lines

    def _read_board(self) -> Board | None:
        now = time.monotonic()
        if now - self._board_read_s > BOARD_EVERY_S:
            self._board, self._board_read_s = read_board(), now
        return self._board

    def _status(self, count: int, stages: Stages) -> dict[str, Any]:
        return {
            "task": self._card.task,
            "model": self._card.name,
            "weights": self._card.weights.origin,
            "runtime": self._runtime,
            "source": self._source.name,
            "found": self._predictor.found,
            "count": count,
            "fps": round(self.times.fps, 1),
            "dropped": self._source.dropped,
            "stages": stages,
            "board": self._board.to_dict() if self._board else None,
            "frame": self.frames,
        }

    def summary(self, collect: bool) -> dict[str, Any]:
        """Sum the run up, in plain JSON types; stages over its last seconds."""
        seconds = time.perf_counter() - self._started
        return {
            "model": self._card.name,
            "weights": self._card.weights.origin,
            "runtime": self._runtime,
            "frames": self.frames,
            "found": self._predictor.found,
            "frames_with": self.frames_with,
            "dropped": self._source.dropped,
            "seconds": round(seconds, 2),
            "fps": round(self.frames / seconds, 1),
            "stages": self.times.summary(),
            "interrupted": self.interrupted,
            **({"problem": self.problem} if self.problem else {}),
            **({"results": self.collected} if collect else {}),
        }
