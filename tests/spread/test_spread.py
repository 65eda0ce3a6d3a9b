"""Pieces find their way, whoever does them and whatever becomes of workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from edgehr.errors import EdgehrError
from edgehr.spread import Outcome, OwnProcess, collecting, in_order, open_crew, spread
from edgehr.spread.crews import Crew, Hand
from tests.conftest import ROOT
from tests.spread.works import Squares, wait_for


def outcomes(work: Squares, numbers: range | list[int], jobs: int = 2) -> dict[int, Outcome]:
    with open_crew(jobs) as crew:
        return {outcome.number: outcome for outcome in spread(crew, work, numbers)}


@pytest.mark.parametrize("jobs", [1, 3])
def test_results_come_in_the_order_of_the_pieces(tmp_path: Path, jobs: int) -> None:
    with open_crew(jobs) as crew:
        assert [*in_order(spread(crew, Squares(tmp_path), range(20)))] == [number**2 for number in range(20)]
        assert [*spread(crew, Squares(tmp_path), [])] == []
    assert 1 <= len([*tmp_path.glob("closed-*")]) <= jobs  # they close what they have open
    assert all(name.name == f"worker-{os.getpid()}" for name in tmp_path.glob("worker-*")) == (jobs == 1)


def test_a_lost_worker_costs_its_piece_alone_which_is_tried_again(tmp_path: Path) -> None:
    work = Squares(tmp_path, deadly=(0, 3), times=2)
    with open_crew(2) as crew:
        assert [*in_order(spread(crew, work, range(8)))] == [number**2 for number in range(8)]
    assert len([*tmp_path.glob("died-*")]) == 4


def test_a_piece_that_ends_every_worker_is_given_up_and_the_others_are_done(tmp_path: Path) -> None:
    found = outcomes(Squares(tmp_path, deadly=(2,), times=99), range(6))
    assert {number for number, outcome in found.items() if outcome.error} == {2}
    assert "2: a worker process ended by SIGKILL, 3 times" in str(found[2].error)
    assert [found[number].value for number in (0, 1, 3, 4, 5)] == [0, 1, 9, 16, 25]


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_a_piece_fails_with_is_told_and_not_tried_again(tmp_path: Path, jobs: int) -> None:
    found = outcomes(Squares(tmp_path, refused=(1,)), [0, 1, -2, 3], jobs)
    assert isinstance(found[1].error, EdgehrError)
    assert str(found[1].error) == "1 cannot be squared"
    assert not isinstance(found[2].error, EdgehrError)
    assert "a bug" in str(found[2].error)
    assert (found[0].value, found[3].value) == (0, 9)
    with open_crew(jobs) as crew, pytest.raises(EdgehrError, match="1 cannot be squared"):
        list(in_order(spread(crew, Squares(tmp_path, refused=(1,)), range(50))))


class Threads(Crew):
    """Good workers, and as many on a machine that does not see the pictures: they are faster, and fail with all."""

    elsewhere = True

    def __init__(self, good: int, bad: int) -> None:
        self.size, self._bad = good + bad, bad

    def hire(self, work: Any) -> Any:
        self._bad -= 1
        return Thread(self._bad >= 0)


class Thread(Hand):
    def __init__(self, bad: bool) -> None:
        self._bad, self._pool = bad, ThreadPoolExecutor(1)
        self.ready = self._pool.submit(str)

    def _submit(self, piece: Any) -> Any:
        return self._pool.submit(self._do, piece)

    def _do(self, piece: int) -> int:
        time.sleep(0.0 if self._bad else 0.02)
        if self._bad or piece == 13:
            raise EdgehrError(f"{piece} is not there")
        return piece**2

    def dismiss(self) -> None:
        self._pool.shutdown()


@pytest.mark.parametrize(("good", "bad"), [(1, 1), (4, 4), (2, 4)])
def test_a_node_that_fails_with_everything_costs_no_piece(good: int, bad: int, tmp_path: Path) -> None:
    found = {outcome.number: outcome for outcome in spread(Threads(good, bad), Squares(tmp_path), range(40))}
    assert {number for number, outcome in found.items() if outcome.error} == {13}
    assert all(found[number].value == number**2 for number in set(range(40)) - {13})


def test_where_all_fail_it_ends(tmp_path: Path) -> None:
    errors = [outcome.error for outcome in spread(Threads(0, 3), Squares(tmp_path), range(10))]
    assert sorted(map(str, errors)) == sorted(f"{number} is not there" for number in range(10))


def test_a_worker_that_does_not_come_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a cluster has fewer processors than workers are asked for."""

    class Lonely(OwnProcess):
        size, elsewhere = 2, True
        hands = 0

        def hire(self, work: Any) -> Any:
            self.hands += 1
            return super().hire(work) if self.hands == 1 else Never()

    class Never(Hand):
        def __init__(self) -> None:
            self.ready = Future()

        def _submit(self, piece: Any) -> Any: ...

        def dismiss(self) -> None: ...

    monkeypatch.setattr(collecting, "START_S", 0.1)
    found = {outcome.number: outcome for outcome in spread(Lonely(), Squares(tmp_path, refused=(1,)), range(4))}
    assert str(found[1].error) == "1 cannot be squared"
    assert [found[number].value for number in (0, 2, 3)] == [0, 4, 9]


def test_workers_end_with_the_error_that_is_told(tmp_path: Path) -> None:
    """Not when somebody forgets it: a cluster may be left by then."""
    with open_crew(2) as crew:
        with pytest.raises(EdgehrError, match="1 cannot be squared") as caught:
            list(in_order(spread(crew, Squares(tmp_path, refused=(1,)), range(50))))
        ended = [*tmp_path.glob("closed-*")]
        assert ended
        del caught


@pytest.mark.parametrize("jobs", [1, 2])
def test_workers_that_cannot_start(tmp_path: Path, jobs: int) -> None:
    with pytest.raises(EdgehrError, match="the model is not there"):
        outcomes(Squares(tmp_path, opens=False), range(3), jobs)


def test_no_worker_outlives_who_started_it(tmp_path: Path) -> None:
    program = (
        "from tests.spread.works import *; from edgehr.spread import *; import pathlib, time\n"
        "if __name__ == '__main__':\n"
        "    with open_crew(2) as crew:\n"
        f"        for _ in spread(crew, Squares(pathlib.Path({str(tmp_path)!r})), range(9999)):\n"
        "            time.sleep(0.2)\n"
    )
    (tmp_path / "program.py").write_text(program)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, tmp_path / "program.py"], env=environment)
    wait_for(lambda: len([*tmp_path.glob("worker-*")]) == 2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_for(lambda: not any(Path(f"/proc/{name.name[7:]}").exists() for name in tmp_path.glob("worker-*")))


def test_a_cluster_that_is_not_there() -> None:
    for address, problem in (("127.0.0.1:1", "nobody answers there"), ("here", "expected HOST:PORT")):
        with pytest.raises(EdgehrError, match=f"--ray {address}: {problem}"), open_crew(ray=address):
            pass
