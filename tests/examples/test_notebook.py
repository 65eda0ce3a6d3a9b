"""The notebook: its cells run one after the other, but the one that installs edgehr."""

from __future__ import annotations

import ast
import json
from typing import Any

import pytest

from edgehr.live.sources import clip
from tests.examples.conftest import EXAMPLES

NOTEBOOK = EXAMPLES / "edgehr_in_colab.ipynb"


def code_cells() -> list[str]:
    """The source of its cells of code."""
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def run_cell(source: str, namespace: dict[str, Any]) -> Any:
    """Run a cell and return what a notebook would show below it: the value of a last expression."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, str(NOTEBOOK), "exec"), namespace)  # noqa: S102 - our own notebook
    if last is None:
        return None
    return eval(compile(ast.Expression(last.value), str(NOTEBOOK), "eval"), namespace)  # noqa: S307 - as above


def test_it_installs_first_and_holds_no_outputs() -> None:
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert code_cells()[0].startswith("%pip install ")
    assert [cell["id"] for cell in notebook["cells"] if cell.get("outputs") or cell.get("execution_count")] == []
    assert f"/examples/{NOTEBOOK.name})" in "".join(notebook["cells"][0]["source"])  # the button opens this file


@pytest.mark.slow
def test_every_cell_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for package in ("pandas", "supervision", "matplotlib"):
        pytest.importorskip(package, reason=f"needs {package}, which the extra `dev` brings")
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.setattr(clip, "FRAMES", 30)
    names: dict[str, Any] = {"__name__": "__main__"}
    shown = [run_cell(source, names) for source in code_cells()[1:]]
    said = capsys.readouterr().out
    assert "Poses(3 people, 17 keypoints, best score 0." in said
    assert "person" in said  # of the segmentation
    picture, table, axes, drawn, blurred, _ = shown
    assert picture.size == drawn.size == blurred.size == names["picture"].shape[1::-1]
    assert len({picture.tobytes(), drawn.tobytes(), blurred.tobytes(), names["picture"][..., ::-1].tobytes()}) == 4
    assert set(table.person) == {0, 1, 2}
    assert len(axes.lines) >= 3  # a line a person
    assert len(names["boxes"]) == 3
