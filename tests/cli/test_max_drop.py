"""`edgehr convert --max-drop`: what is refused, and what is printed."""

from __future__ import annotations

import pytest

from edgehr.cli.convert import _print_float_blocks
from edgehr.cli.main import main
from edgehr.converters.float_blocks import FloatBlocks
from edgehr.zoo import DEFAULT_MODEL
from tests.converters.test_float_blocks import CHOICE


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--to", "onnx", "--precision", "int8", "--max-drop", "-1"], "in points of the accuracy, from 0 to 100"),
        (["--to", "onnx", "--precision", "int8", "--max-drop", "nan"], "got 'nan'"),
        (["--to", "onnx", "--precision", "int8", "--max-drop", "inf"], "got 'inf'"),
        (["--to", "onnx", "--precision", "int8", "--max-drop", "half"], "got 'half'"),
        (["--to", "onnx", "--max-drop", "0.5"], "--max-drop goes with --precision int8"),
        (["--to", "tflite", "--precision", "int8", "--int8-io", "--max-drop", "0.5"], "everything is INT8"),
        (["--to", "onnx", "--precision", "int8", "--max-drop", "0.5"], "int8 needs real images"),
        (["--to", "onnx", "--precision", "int8", "--calib-annotations", "."], "goes with --max-drop"),
        (["--to", "onnx", "--precision", "int8", "--max-drop", "1", "--calib-annotations", "."], "goes with --calib"),
        (
            ["--to", "onnx", "--precision", "int8", "--max-drop", "1", "--calib", "a.json", "--calib-annotations", "."],
            "goes with a folder of images as --calib",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", DEFAULT_MODEL, *arguments]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert said in line


def test_the_table_names_blocks_losses_and_costs(capsys: pytest.CaptureFixture[str]) -> None:
    _print_float_blocks(FloatBlocks.of(CHOICE))
    lines = capsys.readouterr().out.strip().splitlines()
    assert lines[-1].split() == ["stem", "2", "0.60", "0.0200", "75.0%", "5.0%", "+0.6", "kB"]
    assert lines[-2].startswith("BLOCK ")
    assert "INT8 loses 0.45 points of AP" in lines[0]
