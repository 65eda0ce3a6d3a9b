"""Detectors on HRNetV2p, from a checkpoint to what artifacts find in a photograph. Small networks with made weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgehr
from edgehr.assets import photographs
from edgehr.calib.recipes import recipe_for
from edgehr.card import ModelCard
from edgehr.converters.convert import convert
from edgehr.converters.target import make_target
from edgehr.errors import ArtifactError, EdgehrError, TensorError
from edgehr.models.architectures import networks
from edgehr.models.heads import roi
from edgehr.models.necks import hrfpn
from edgehr.models.runtime import TorchRuntime
from edgehr.runtimes.formats import part_files
from edgehr.runtimes.tensorrt.sidecar import read_sidecar
from edgehr.tasks.detection.detections import Detections
from edgehr.tasks.detection.spec import DetectionSpec, with_proposals
from edgehr.tasks.detection.task import DetectionTask
from edgehr.tasks.detection.two_stage import decoder
from edgehr.tasks.image.reading import read_image
from edgehr.zoo import get_card
from tests.made_once import KeptExports
from tests.models.made_weights import save_made_weights

pytestmark = pytest.mark.slow

CLASSES = ("person", "camera", "rocket")
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "fcos": ("fcos-hrnetv2p-w18-1x-coco-800x1344", {}),
    "cascade-mask-rcnn": ("cascade-mask-rcnn-hrnetv2p-w18-20e-coco-800x1344", {"stages": 2, "masks": True}),
}


def small(kind: str) -> ModelCard:
    name, parameters = KINDS[kind]
    card = get_card(name).with_size(96, 128)
    spec = card.spec_as(DetectionSpec)
    regions = replace(spec.regions, box_stds=spec.regions.box_stds[:2], max_proposals=20)
    return replace(
        card,
        name=f"{kind}-96x128",
        parameters={"width": 8, "depth": "small_v1", **parameters},
        spec=replace(spec, classes=CLASSES, regions=regions),
    )


def find(card: ModelCard, runtime: Any) -> Detections:
    return DetectionTask(card, threshold=0.05).predict(runtime, read_image(photographs()[0]))


def assert_same(found: Detections, wanted: Detections, pixels: float, scores: float) -> None:
    assert len(wanted) > 3
    assert found.class_ids.tolist() == wanted.class_ids.tolist()
    np.testing.assert_allclose(found.boxes, wanted.boxes, atol=pixels)
    np.testing.assert_allclose(found.scores, wanted.scores, atol=scores)
    assert (found.masks is None) == (wanted.masks is None)
    if found.masks is not None and wanted.masks is not None:
        assert np.abs(found.masks.areas - wanted.masks.areas).max() <= 0.01 * wanted.masks.areas.max()


@pytest.fixture(scope="module", autouse=True)
def narrow() -> Iterator[None]:
    """A pyramid of 64 channels in place of 256, and box heads of 64 hidden values in place of 1024."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (networks, hrfpn, decoder):
            patch.setattr(module, "CHANNELS", 64)
        patch.setattr(roi, "HIDDEN", 64)
        yield


@pytest.fixture(scope="module", params=["cascade-mask-rcnn"])
def detector(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelCard, Path]:
    """A card and a checkpoint, beside which is a folder with one photograph."""
    card, folder = small(request.param), tmp_path_factory.mktemp(request.param)
    save_made_weights(card, folder / "weights.safetensors")
    (folder / "pictures").mkdir()
    shutil.copy(photographs()[0], folder / "pictures")
    return card, folder / "weights.safetensors"


def made(detector: tuple[ModelCard, Path], target: str, suffix: str, **options: Any) -> Any:
    card, weights = detector
    out = weights.with_name(f"{target}-{options.get('precision', 'fp32')}{suffix}")
    return convert(card, weights, target, out=out, images=weights.with_name("pictures"), **options)


def test_artifacts_find_what_pytorch_finds(detector: tuple[ModelCard, Path], kept_exports: KeptExports) -> None:
    card, weights = detector
    with TorchRuntime(card, weights) as reference:
        wanted = find(card, reference)
    for target, suffix in (("onnx", ".onnx"), ("openvino", ".xml"), ("tflite", ".tflite")):
        report = made(detector, target, suffix)
        assert report.difference.relative_mean < 1e-5
        with edgehr.load(report.path, precision="fp32" if target == "openvino" else None) as runtime:
            assert sorted(runtime.parts) == sorted(DetectionTask(card).part_specs())
            assert_same(find(runtime.card, runtime), wanted, pixels=0.05, scores=1e-4)


def test_plans_of_all_graphs_are_built(
    detector: tuple[ModelCard, Path], kept_exports: KeptExports, edgehr_command: Any
) -> None:
    pytest.importorskip("tensorrt_rtx", reason="tensorrt_rtx is not installed (no build for this platform)")
    card, _ = detector
    names = sorted(DetectionTask(card).part_specs())
    bundle = made(detector, "trt-bundle", ".trtbundle", precision="fp16").path
    built = edgehr_command("build", bundle, "--json")
    assert not built.returncode, built.stderr
    found = json.loads(built.stdout)
    assert sorted(found["parts"]) == names
    plans = [Path(found["plan"]), *map(Path, found["parts"].values())]
    for plan in plans:
        precisions = read_sidecar(plan).precisions
        assert precisions["fp16"] == sum(precisions.values())
    parts = read_sidecar(plans[0]).artifact.parts
    assert sorted(part_files(plans[0], {name: vars(part) for name, part in parts.items()})) == names


def test_a_head_of_another_conversion_is_refused(detector: tuple[ModelCard, Path], kept_exports: KeptExports) -> None:
    card, _ = detector
    main = made(detector, "onnx", ".onnx").path
    names = sorted(DetectionTask(card).part_specs())
    fewer = replace(card, spec=replace(card.spec_as(DetectionSpec), classes=CLASSES[:2]))
    with edgehr.load(main) as runtime, pytest.raises(TensorError, match=r"box_head0.*classes"):
        find(fewer, runtime)
    head = main.with_name(f"{main.stem}.{names[0]}.onnx")
    content = head.read_bytes()
    head.write_bytes(main.with_name(f"{main.stem}.{names[1]}.onnx").read_bytes())
    with pytest.raises(ArtifactError, match="belongs to another model"):
        edgehr.load(main)
    head.unlink()
    with pytest.raises(ArtifactError, match="is missing"):
        edgehr.load(main)
    head.write_bytes(content)


def test_cards_that_do_not_fit_are_refused_in_one_line() -> None:
    card = small("cascade-mask-rcnn")
    spec = card.spec_as(DetectionSpec)
    image = read_image(photographs()[0])
    anchors = replace(card, spec=replace(spec, regions=replace(spec.regions, anchor_ratios=(0.5, 1.0))))
    outputs = {name: np.zeros((1, *shape), np.float32) for name, shape in DetectionTask(card).output_shapes().items()}
    task = DetectionTask(anchors)
    with pytest.raises(TensorError, match="anchors or classes do not fit the graph"):
        task.postprocess(outputs, task.preprocess(image)[1])
    for kind, strides in (("cascade-mask-rcnn", (2, 4, 8, 16, 32)), ("fcos", (8, 16, 24))):
        other = small(kind)
        with pytest.raises(EdgehrError, match="double from"):
            DetectionTask(replace(other, spec=replace(other.spec_as(DetectionSpec), strides=strides)))
    regions = replace(spec.regions, box_stds=spec.regions.box_stds[:1])
    with pytest.raises(EdgehrError, match="2 box heads"):
        DetectionTask(replace(card, spec=replace(spec, regions=regions)))


def test_proposals_are_those_that_were_asked_for() -> None:
    card = with_proposals(small("cascade-mask-rcnn"), 50)
    assert DetectionTask(card).part_specs()["box_head0"].batch == 50
    for count in (0, 1001):
        with pytest.raises(EdgehrError, match="1 to 1000 proposals"):
            with_proposals(card, count)
    with pytest.raises(EdgehrError, match="1 to 1000 proposals"):
        edgehr.convert("faster-rcnn-hrnetv2p-w18-1x-coco-800x1344", "onnx", proposals=0)
    with pytest.raises(EdgehrError, match="no two-stage detector"):
        edgehr.convert("fcos-hrnetv2p-w18-1x-coco-800x1344", "onnx", proposals=10)


def test_heads_of_regions_stay_in_float_beside_int8() -> None:
    for target, precision in (
        ("onnx", "fp16"),
        ("openvino", "fp16"),
        ("trt-bundle", "fp16"),
        ("tflite", "dynamic-int8"),
    ):
        assert make_target(target, precision="int8").for_part().precision == precision
        assert make_target(target, precision="fp32").for_part().precision == "fp32"
    assert recipe_for(small("fcos"), "symmetric").float_shared
