from __future__ import annotations

import argparse
import signal
import threading
from pathlib import Path

import pytest

from edgehr.cli import main as command_line
from edgehr.cli import models
from edgehr.cli.common.stopping import ENDING, ended_by_signals, undisturbed
from edgehr.errors import EdgehrError
from edgehr.files import atomic_write


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


@pytest.mark.parametrize("number", ENDING)
def test_every_command_that_is_ended_cleans_up_and_says_so(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(args: argparse.Namespace) -> None:
        with atomic_write(tmp_path / "a.onnx") as (temporary,):
            temporary.write_text("half")
            signal.raise_signal(number)

    monkeypatch.setattr(models, "run", run)
    assert command_line.main(["models"]) == 128 + number
    assert capsys.readouterr().err == f"edgehr models: ended by {number.name}\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, *ENDING])
def test_a_library_that_takes_a_signal_for_a_failure_of_its_own(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(args: argparse.Namespace) -> None:
        try:
            signal.raise_signal(number)
        except KeyboardInterrupt:
            raise EdgehrError("torch cannot export this") from None

    monkeypatch.setattr(models, "run", run)
    assert command_line.main(["models"]) == 128 + number
    words = "interrupted" if number == signal.SIGINT else f"ended by {number.name}"
    assert capsys.readouterr().err == f"edgehr models: {words}\n"


def test_a_handler_that_python_did_not_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    changed: list[int] = []
    monkeypatch.setattr(signal, "getsignal", lambda number: None)
    monkeypatch.setattr(signal, "signal", lambda number, handler: changed.append(number))
    with ended_by_signals():
        pass
    assert not changed
