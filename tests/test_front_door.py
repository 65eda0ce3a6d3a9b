"""What `import edgehr` offers, and that documents and examples need nothing else."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import edgehr
from edgehr.card import ModelCard
from edgehr.errors import EdgehrError, MissingDependencyError
from edgehr.zoo import DEFAULT_MODEL, all_cards, get_card
from tests.conftest import ROOT
from tests.made_once import KeptExports

# Not installed everywhere: what `MissingDependencyError` may be raised for.
OPTIONAL = {"TensorRTRuntime"}
INNER_IMPORT = re.compile(r"^[\s\"]*(?:from edgehr\.|import edgehr\.).*$", re.MULTILINE)


def test_every_name_is_there() -> None:
    for name in set(edgehr.__all__) - OPTIONAL:
        assert getattr(edgehr, name) is not None
    assert dir(edgehr) == sorted(edgehr.__all__)
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        edgehr.lod  # noqa: B018


def test_type_checkers_see_the_same_names() -> None:
    """They read imports that never run; what runs reads the table."""
    tree = ast.parse((ROOT / "edgehr" / "__init__.py").read_text(encoding="utf-8"))
    checked = next(node for node in tree.body if isinstance(node, ast.If))
    imports = {
        alias.name: node.module for node in checked.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert imports == edgehr._HOMES
    assert set(edgehr.__all__) == {*edgehr._HOMES, "__version__"}


def test_documents_and_examples_import_only_the_front_door() -> None:
    pages = [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*.py"), *ROOT.glob("examples/*.ipynb")]
    assert len(pages) > 10
    found = {path.name: INNER_IMPORT.findall(path.read_text(encoding="utf-8")) for path in pages}
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_models_are_listed_by_words() -> None:
    assert edgehr.list_models() == list(all_cards())
    hands = edgehr.list_models("Hand")
    assert hands
    assert all(isinstance(card, ModelCard) and card.category == "hand" for card in hands)
    assert 0 < len(edgehr.list_models("wholebody", "dark")) < len(edgehr.list_models("wholebody"))
    assert edgehr.list_models("unicorn") == []


def test_a_conversion_that_cannot_be_is_refused_before_a_download(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    for arguments, options, message in (
        (("litehrnet-19", "onnx"), {}, "unknown model"),
        ((DEFAULT_MODEL, "paper"), {}, "unknown target"),
        ((DEFAULT_MODEL, "onnx"), {"precision": "int8"}, "int8 needs real images"),
        ((DEFAULT_MODEL, "onnx"), {"size": (100, 100)}, "32"),
        (("missing.json", "onnx"), {}, "cannot read it"),
    ):
        with pytest.raises(EdgehrError, match=message):
            edgehr.convert(*arguments, **options)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"edgehr\[convert\]"):
        edgehr.convert(DEFAULT_MODEL, "onnx")


@pytest.mark.slow
def test_a_model_is_converted_by_its_name(tmp_path: Path, kept_exports: KeptExports) -> None:
    report = edgehr.convert(DEFAULT_MODEL, "onnx", batch=None, out=str(tmp_path / "model.onnx"))
    assert report.path == tmp_path / "model.onnx"
    assert report.model == DEFAULT_MODEL
    with edgehr.load(report.path) as runtime:
        assert runtime.card.spec.keypoints == get_card(DEFAULT_MODEL).spec.keypoints
