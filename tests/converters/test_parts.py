"""Models of several graphs with work between them, from a source to a runtime."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import ArrayLike, NDArray
from onnx import TensorProto, helper, numpy_helper

from edgehr.card import InputSpec, ModelCard, OutputSpec, TaskSpec, WeightsInfo
from edgehr.cli.main import main
from edgehr.converters.convert import convert_source
from edgehr.converters.onnx.target import OnnxTarget
from edgehr.converters.source import OnnxSource
from edgehr.errors import ArtifactError, EdgehrError
from edgehr.registry import TASKS
from edgehr.runtimes import Artifact, Runtime, load
from edgehr.runtimes.artifact import Part
from edgehr.runtimes.formats import describe
from edgehr.tasks.base import Outputs, Task
from edgehr.tasks.image.reading import as_bgr

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class WindowSpec(TaskSpec):
    windows: int

    @property
    def num_outputs(self) -> int:
        return 2

    @property
    def finds(self) -> str:
        return "windows"

    @property
    def decoding_name(self) -> str:
        return "none"

    def lines(self, card: ModelCard) -> list[tuple[str, str]]:
        return []


class WindowTask(Task):
    """Scores windows of the features of a picture: one graph makes features, another one scores."""

    spec_type = WindowSpec

    def preprocess(self, image: NDArray[Any], boxes: ArrayLike | None = None) -> tuple[NDArray[np.float32], None]:
        small = cv2.resize(as_bgr(image), (32, 32), interpolation=cv2.INTER_AREA)
        return np.float32(small.transpose(2, 0, 1)[None] / 255), None

    def postprocess(self, outputs: Outputs, context: None) -> Any:
        return self._output(outputs)[0]

    def output_shapes(self) -> dict[str, tuple[int, ...]]:
        return {"scores": (self.card.spec_as(WindowSpec).windows, 2)}

    def infer(self, runtime: Runtime, batch: NDArray[Any]) -> dict[str, NDArray[Any]]:
        features = runtime.infer_batch(batch)["features"]
        windows = [features[:, :, start : start + 4, start : start + 4] for start in (0, 2, 4)]
        scores = [runtime.parts["box_head"].infer({"windows": window.copy()})["scores"] for window in windows]
        return {"scores": np.stack(scores, axis=1)}


def graph(name: str, nodes: list[Any], source: Any, result: Any, weight: NDArray[np.float32], path: Path) -> Path:
    ends = [helper.make_tensor_value_info(end[0], TensorProto.FLOAT, end[1:]) for end in (source, result)]
    made = helper.make_graph(nodes, name, ends[:1], ends[1:], [numpy_helper.from_array(weight, "weight")])
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnnxSource]:
    builtin = TASKS.names
    TASKS.register("windows", WindowTask)
    folder, rng = tmp_path_factory.mktemp("source"), np.random.default_rng(0)
    conv = helper.make_node("Conv", ["image", "weight"], ["features"], "conv", strides=[4, 4])
    head = [
        helper.make_node("Flatten", ["windows"], ["flat"], "flatten"),
        helper.make_node("MatMul", ["flat", "weight"], ["scores"], "score"),
    ]
    weights = rng.standard_normal((8, 3, 4, 4)).astype(np.float32), rng.standard_normal((128, 2)).astype(np.float32)
    main_graph = graph("m", [conv], ("image", 1, 3, 32, 32), ("features", 1, 8, 8, 8), weights[0], folder / "m.onnx")
    box_head = graph("h", head, ("windows", "n", 8, 4, 4), ("scores", "n", 2), weights[1], folder / "h.onnx")
    card = ModelCard(
        name="windows-32x32",
        task="windows",
        architecture="toy",
        dataset="none",
        input=InputSpec(32, 32),
        outputs=(OutputSpec("scores", "(N, windows, 2)"),),
        spec=WindowSpec(3),
        weights=WeightsInfo("user", "m.onnx", sha256="ab" * 32),
    )
    yield OnnxSource(card, main_graph, {"box_head": box_head})
    assert TASKS.names[: len(builtin)] == builtin


@pytest.mark.parametrize(
    ("target", "suffix", "precision"),
    [("onnx", ".onnx", "fp32"), ("onnx", ".onnx", "fp16"), ("openvino", ".xml", "fp32"), ("openvino", ".xml", "fp16")],
)
def test_all_graphs_are_converted_and_opened(
    target: str, suffix: str, precision: str, source: OnnxSource, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"model{suffix}"
    report = convert_source(source, target, precision=precision, out=path)
    assert report.difference.relative_mean < (1e-5 if precision == "fp32" else 1e-2)
    stages = [stage.name for stage in report.stages]
    assert stages.index("box_head: check the graph") < stages.index("check the graph")
    kinds = {".onnx": [".onnx"], ".xml": [".bin", ".xml"]}[suffix]
    assert sorted(tmp_path.iterdir()) == sorted(
        tmp_path / f"model{part}{k}" for part in ("", ".box_head") for k in kinds
    )

    task = WindowTask(source.card)
    image = np.random.default_rng(1).integers(0, 255, (50, 40, 3), np.uint8)
    with load(path) as runtime:
        assert runtime.card == source.card
        assert list(runtime.parts) == ["box_head"]
        assert runtime.parts["box_head"].require_artifact().part == "box_head"
        np.testing.assert_allclose(
            task.predict(runtime, image), task.predict(source.reference, image), rtol=0.02, atol=0.02
        )
        head = runtime.parts["box_head"]
    with pytest.raises(EdgehrError, match="the runtime is closed"):
        head.infer({"windows": np.zeros((1, 8, 4, 4), np.float32)})

    about = describe(path)
    assert about["parts"]["box_head"]["outputs"][0]["name"] == "scores"
    json.dumps(about)
    assert main(["inspect", str(path)]) == 0
    assert f"part box_head model.box_head{suffix}" in capsys.readouterr().out


@pytest.mark.parametrize(("target", "suffix"), [("onnx", ".onnx"), ("openvino", ".xml")])
def test_parts_that_are_damaged_or_missing_are_said_in_one_line(
    target: str, suffix: str, source: OnnxSource, tmp_path: Path
) -> None:
    path = tmp_path / f"model{suffix}"
    convert_source(source, target, out=path)
    part = tmp_path / f"model.box_head{suffix}"
    part.write_bytes(part.read_bytes()[:-10])
    for look in (load, describe):
        with pytest.raises(
            ArtifactError, match=r"its part box_head, model\.box_head.* is damaged or belongs to another"
        ):
            look(path)
    part.unlink()
    for look in (load, describe):
        with pytest.raises(ArtifactError, match="its part box_head is not beside it"):
            look(path)


class WholeTarget(OnnxTarget):
    takes_parts = False


@pytest.mark.parametrize("target", [OnnxTarget(precision="int8"), WholeTarget()])
def test_what_cannot_be_written_is_said_and_nothing_is_left(
    target: OnnxTarget, source: OnnxSource, tmp_path: Path
) -> None:
    with pytest.raises(EdgehrError, match=r"consists of 2 graphs, which onnx does not write|int8 needs real images"):
        convert_source(source, target, out=tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


def test_descriptions_of_parts(source: OnnxSource) -> None:
    whole = Artifact(source.card, "fp32", "ab" * 32, parts={"box_head": Part("a.onnx", "cd" * 32)})
    assert json.loads(whole.to_json())["schema"] == 2  # earlier versions, which would open half a model, refuse it
    assert Artifact.from_json(whole.to_json()) == whole
    assert json.loads(replace(whole, parts={}).to_json())["schema"] == 1
    with pytest.raises(ArtifactError, match="plain file name"):
        Artifact.from_json(whole.to_json().replace("a.onnx", "../a.onnx"))
