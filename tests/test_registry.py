"""Things by name."""

from __future__ import annotations

import subprocess
import sys

import pytest

from edgehr.errors import EdgehrError
from edgehr.registry import TASKS, Registry, spec_type


def test_what_is_builtin_is_imported_when_it_is_asked_for() -> None:
    script = (
        "import sys; from edgehr.registry import TASKS; assert 'edgehr.tasks' not in sys.modules; "
        "print(TASKS.get('detection').__name__)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "DetectionTask"


def test_what_is_registered_is_found_beside_what_is_builtin() -> None:
    registry: Registry[object] = Registry("thing", {"path": "pathlib:Path"})
    assert registry.register("mine", 1) == 1
    assert (registry.get("mine"), registry.names) == (1, ("path", "mine"))
    registry.register("path", 2)
    assert (registry.get("path"), registry.names) == (2, ("path", "mine"))


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(EdgehrError, match=r"unknown task 'posture': expected one of pose, detection"):
        TASKS.get("posture")


def test_parts_of_cards_are_found_without_their_task_and_opencv() -> None:
    """Each in a process of its own, in which nothing is imported yet."""
    for task in TASKS._builtin:  # other tests register more
        script = f"import sys; from edgehr.registry import spec_type; found = spec_type({task!r}); "
        script += "assert 'cv2' not in sys.modules; print(found.__module__, found.__name__)"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        expected = TASKS.get(task).spec_type
        assert done.stdout.split() == [expected.__module__, expected.__name__]
        assert spec_type(task) is expected
