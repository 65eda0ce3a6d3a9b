"""What commands print."""

from __future__ import annotations

import io
import sys

import pytest

from edgehr.cli import models
from edgehr.cli.common import output
from edgehr.cli.common.output import progress_bar
from edgehr.cli.main import main
from edgehr.progress import no_bar


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_is_shown_on_terminals_only(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    monkeypatch.setenv("TERM", "xterm")
    with progress_bar("counting", 4) as progress:
        progress.advance()
        progress.advance(2)
        progress.update(4, 5)
        progress.update(5)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert ("counting" in shown.err) == terminal
    assert ("5/5" in shown.err) == terminal


def test_nothing_shows_without_rich_or_where_nobody_looks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "rich", None)
    for bar in (progress_bar("counting", None), no_bar("counting", 4)):
        with bar as progress:
            progress.advance()
            progress.update(2, 4)
    assert capsys.readouterr().err == ""


def test_without_rich_a_plain_line_counts_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(output, "REFRESH_S", -1.0)
    with progress_bar("clip", 4) as progress:
        progress.advance(3)
        progress.update(4)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "clip  3/4" in shown.err
    assert shown.err.rsplit("\r", 2)[-2:] == [" " * len("clip  4/4"), ""]  # and leaves the line empty


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_what_standard_output_cannot_encode_ends_no_command(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    monkeypatch.setattr(models, "run", lambda args: print("\u0142 \u2192 caf\udce9.jpg"))
    assert main(["models"]) == 0
    unknown = "ł →".encode(encoding, "backslashreplace")
    assert written.getvalue() == unknown + rb" caf\udce9.jpg" + b"\n"
