from __future__ import annotations

import signal
import threading

import pytest

from edgehr.cli.common.stopping import ENDING, ended_by_signals, undisturbed


@pytest.mark.parametrize("number", ENDING)
def test_signals_that_end_a_program_come_as_ctrl_c_does(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), ended_by_signals():
        signal.raise_signal(number)
    assert signal.getsignal(number) is before


def test_what_must_be_finished_is_not_disturbed() -> None:
    done = False
    with ended_by_signals():
        with undisturbed():
            for number in (signal.SIGINT, *ENDING):
                signal.raise_signal(number)
            done = True
        assert done
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_signal_that_is_ignored_stays_so() -> None:
    before = signal.signal(ENDING[-1], signal.SIG_IGN)  # as `nohup` does
    try:
        with ended_by_signals():
            signal.raise_signal(ENDING[-1])
        assert signal.getsignal(ENDING[-1]) is signal.SIG_IGN
    finally:
        signal.signal(ENDING[-1], before)


def test_other_threads_change_no_handler() -> None:
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with ended_by_signals(), undisturbed():
                assert signal.getsignal(signal.SIGINT) is before
        except BaseException as error:
            failures.append(error)

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not failures
