"""The collector: hands pieces to workers, tries again what was lost on the way, and gives the results."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict, deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from edgehr.errors import EdgehrError
from edgehr.spread.crews import Crew, Hand
from edgehr.spread.work import Work, WorkerLostError

_LOG = logging.getLogger("edgehr.spread")

TRIES = 3  # of each piece
PATIENCE_S = 300.0  # without any worker at all
START_S = 60.0  # that a worker may take to come before those that are there do without it


@dataclass(frozen=True)
class Outcome:
    """Holds what became of a piece.

    Attributes:
        number: Its place in the list.
        value: What the work returned for it.
        error: What it failed with in the end; None where it did not.
    """

    number: int
    value: Any = None
    error: Exception | None = None


def spread(crew: Crew, work: Work[Any, Any], pieces: Sequence[Any]) -> Generator[Outcome, None, None]:
    """Have pieces done, and give what becomes of each as it is done, in any order.

    A piece whose worker was lost goes to another one, at most three times; on a cluster, where another machine may read
    what one cannot, so does a piece that failed. The workers end when the generator is closed.

    Args:
        crew: Who does them.
        work: What is done with each.
        pieces: Whatever the work takes; ``str`` names them in messages.

    Raises:
        EdgehrError: No worker can be started, or none came in five minutes.
    """
    if pieces:
        collector = _Collector(crew, work, pieces)
        try:
            yield from collector.outcomes()
        finally:
            collector.dismiss()


def in_order(outcomes: Generator[Outcome, None, None]) -> Iterator[Any]:
    """Give the values of all pieces in the order of the list; raises what one failed with as soon as it is known."""
    kept: dict[int, Any] = {}
    due = 0
    with closing(outcomes):  # at once, not when somebody forgets the error with its traceback
        for outcome in outcomes:
            if outcome.error is not None:
                raise outcome.error
            kept[outcome.number] = outcome.value
            while due in kept:
                yield kept.pop(due)
                due += 1


class _Collector:
    def __init__(self, crew: Crew, work: Work[Any, Any], pieces: Sequence[Any]) -> None:
        self._crew, self._work, self._pieces = crew, work, pieces
        self._waiting = deque(range(len(pieces)))
        self._tried: Counter[int] = Counter()
        self._failed_with: defaultdict[int, set[Hand]] = defaultdict(set)
        self._proven: set[Hand] = set()  # who has done a piece
        self._starting: dict[Future[str], Hand] = {}
        self._idle: deque[Hand] = deque()  # who has waited longest is next: rarely who failed with a piece just now
        self._busy: dict[Future[Any], tuple[Hand, int]] = {}
        self._failed_starts = 0
        self._idled_s = 0.0  # with nobody at work
        self._late = False  # those that were hired have not come in time
        self._about: set[str] = set()

    def outcomes(self) -> Iterator[Outcome]:
        for _ in range(min(self._crew.size, len(self._pieces))):
            self._hire()
        while self._waiting or self._busy:
            while found := self._next():
                hand, number = found
                self._idle.remove(hand)
                self._waiting.remove(number)
                self._tried[number] += 1
                self._busy[hand.submit(self._pieces[number])] = hand, number
            done, _ = wait([*self._starting, *self._busy], START_S, FIRST_COMPLETED)
            self._idled_s = 0.0 if done or self._busy else self._idled_s + START_S
            self._late = self._late or self._idled_s > 0
            if self._idled_s >= PATIENCE_S:
                raise EdgehrError(f"no worker came in {PATIENCE_S:.0f} s: has the cluster free processors?")
            for future in done:
                if future in self._starting:
                    self._started(future)
                else:
                    outcome = self._finished(future)
                    if outcome is not None:
                        yield outcome

    def _next(self) -> tuple[Hand, int] | None:
        """Choose who does what next; None where nobody is free for what is left."""
        if not self._idle:
            return None
        return next(
            ((hand, number) for number in self._waiting for hand in self._idle if self._may(hand, number)), None
        )

    def _may(self, hand: Hand, number: int) -> bool:
        """Tell whether a worker may do a piece.

        One that failed is for another worker, and rather for one that has done something already: those of a machine
        that lacks the files fail with everything, fast, and would use up all tries.
        """
        failed = self._failed_with.get(number)
        if not failed:
            return True
        at_work = [other for other, _ in self._busy.values() if other not in failed]
        free = [other for other in self._idle if other not in failed]
        if proven := [other for other in (*free, *at_work) if other in self._proven]:
            return hand in proven
        if at_work or (self._starting and not self._late):
            return False
        return hand in free or not free

    def dismiss(self) -> None:
        """End all workers."""
        for hand in (*self._starting.values(), *self._idle, *(hand for hand, _ in self._busy.values())):
            hand.dismiss()

    def _hire(self) -> None:
        self._late = False
        hand = self._crew.hire(self._work)
        self._starting[hand.ready] = hand

    def _started(self, future: Future[str]) -> None:
        hand = self._starting.pop(future)
        error = future.exception()
        if error is None:
            self._failed_starts = 0
            self._idle.append(hand)
            self._compare(future.result())
            return
        hand.dismiss()
        self._failed_starts += 1
        again = isinstance(error, WorkerLostError) or self._crew.elsewhere
        if again and self._failed_starts < TRIES * self._crew.size:
            _LOG.info("a worker did not start: %s", error)
            self._hire()
        elif not (self._idle or self._busy or self._starting):
            raise error

    def _compare(self, about: str) -> None:
        """Warn where workers are not alike: their results may then differ in the last digits."""
        if about not in self._about and self._about:
            _LOG.warning(
                "workers are not alike, so that results may differ in their last digits: %s; %s",
                about,
                next(iter(self._about)),
            )
        self._about.add(about)

    def _finished(self, future: Future[Any]) -> Outcome | None:
        """Take a worker's result; None where the piece is tried again."""
        hand, number = self._busy.pop(future)
        error = future.exception()
        lost = isinstance(error, WorkerLostError)
        if lost:
            hand.dismiss()
            self._hire()
        else:
            self._idle.append(hand)
        if error is None:
            self._proven.add(hand)
            return Outcome(number, future.result())
        if (lost or self._crew.elsewhere) and self._tried[number] < TRIES:
            _LOG.log(logging.WARNING if lost else logging.INFO, "%s: %s; tried again", self._pieces[number], error)
            self._failed_with[number].add(hand)
            self._waiting.appendleft(number)
            return None
        if lost:
            error = EdgehrError(f"{self._pieces[number]}: {error}, {self._tried[number]} times: see -v")
        return Outcome(number, error=error if isinstance(error, Exception) else RuntimeError(str(error)))
