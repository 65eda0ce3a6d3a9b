"""The smallest program, as a user runs it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgehr.assets import photographs


@pytest.mark.slow
def test_it_prints_the_keypoints_of_a_photograph(run_example: Callable[..., Any], sample_ir: Path) -> None:
    portrait = next(path for path in photographs() if path.stem == "astronaut")
    done = run_example("smallest.py", sample_ir, portrait)
    assert (done.returncode, done.stderr) == (0, "")
    header, *lines = done.stdout.splitlines()
    assert header == "astronaut.jpg, a person"
    found = {name: tuple(map(float, rest)) for name, *rest in map(str.split, lines)}
    assert len(found) == 17
    assert found["nose"][2] > 0.8
    assert found["right_shoulder"][0] < found["nose"][0] < found["left_shoulder"][0]  # she faces the camera
    assert found["nose"][1] < found["left_shoulder"][1]


@pytest.mark.slow
def test_it_goes_through_every_frame_of_a_video(run_example: Callable[..., Any], sample_ir: Path, shared: Path) -> None:
    done = run_example("smallest.py", sample_ir, shared / "data" / "video" / "people.mp4")
    assert (done.returncode, done.stderr) == (0, "")
    frames = re.findall(r"^(people-\d+)\.jpg, person 1$", done.stdout, re.MULTILINE)
    assert frames == [f"people-{number:06d}" for number in range(5)]  # the same person throughout


def test_what_cannot_be_opened_is_one_line(run_example: Callable[..., Any], tmp_path: Path) -> None:
    done = run_example("smallest.py", tmp_path / "model.xml", "person.jpg")
    assert done.returncode == 1
    assert re.fullmatch(r"smallest\.py: .*model\.xml: .*\n", done.stderr)


def test_without_arguments_it_says_how_to_call_it(run_example: Callable[..., Any]) -> None:
    done = run_example("smallest.py")
    assert done.returncode == 1
    assert "python examples/smallest.py" in done.stderr
