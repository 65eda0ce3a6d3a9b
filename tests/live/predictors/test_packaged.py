"""The models that ship with edgehr: several people with nothing converted, on every runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgehr
from edgehr.assets import group_picture, packaged_model, packaged_models, photographs
from edgehr.errors import EdgehrError, MissingDependencyError
from edgehr.live.predictors import packaged
from edgehr.tasks.image.boxes import overlaps
from edgehr.tasks.image.reading import read_image
from edgehr.zoo import DEFAULT_DETECTOR, DEFAULT_MODEL, DEFAULT_SEGMENTER, find_weights, get_card

PEOPLE = np.array([[3, 69, 341, 553], [559, 14, 962, 556], [1127, 22, 1597, 555]], np.float32)
BACKENDS = [address.split(".")[2] for address, _ in packaged._RUNTIMES]


def only(monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    chosen = [entry for entry in packaged._RUNTIMES if f".{backend}." in entry[0]]
    monkeypatch.setattr(packaged, "_RUNTIMES", chosen)


@pytest.mark.parametrize("backend", BACKENDS)
def test_several_people_without_an_argument(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, backend)
    picture = read_image(group_picture())
    with edgehr.PoseEstimator(threads=1) as estimator, edgehr.Segmenter(threads=1) as segmenter:
        poses, segmentation = estimator(picture), segmenter(picture)
    assert len(poses) == 3
    shared = overlaps(poses.boxes, PEOPLE)
    assert sorted(shared.argmax(1)) == [0, 1, 2]
    assert shared.max(1).min() > 0.9
    assert poses.scores[:, 0].min() > 0.5  # each nose
    noses = sorted(poses.keypoints[:, 0].round().tolist())
    assert np.abs(np.array(noses) - [[283, 165], [810, 136], [1373, 216]]).max() < 20  # as seen by eye
    assert 0.3 < segmentation.mask("person").mean() < 0.45


def test_the_rest_of_the_front_door(monkeypatch: pytest.MonkeyPatch) -> None:
    picture, portrait = read_image(group_picture()), read_image(photographs()[0])
    with edgehr.PersonDetector(threads=1) as detector:
        assert len(detector(picture)) == 3
    with edgehr.predictor(threads=1) as model:
        assert len(model(picture)) == 3
    with edgehr.predictor(DEFAULT_SEGMENTER, threads=1) as model:
        assert model.card.task == "segmentation"
    with edgehr.PoseEstimator(detector=None, threads=1) as one:
        assert one.detector is None
        assert len(one(portrait)) == 1
    with edgehr.PoseEstimator(packaged_model(DEFAULT_MODEL), detector=DEFAULT_DETECTOR, threads=1) as several:
        assert len(several(picture)) == 3
    with pytest.raises(EdgehrError, match="ships no model for FaceDetector"):
        edgehr.FaceDetector()


def test_a_model_of_one_s_own_has_no_detector_unless_named(tmp_path: Path) -> None:
    own = tmp_path / "own.onnx"
    own.write_bytes(packaged_model(DEFAULT_MODEL).read_bytes())
    with edgehr.PoseEstimator(own, threads=1) as estimator:
        assert estimator.detector is None


def test_without_a_runtime_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(reason: str) -> Any:
        def load(address: str) -> Any:
            raise MissingDependencyError(reason)

        return load

    for reason, message in (
        ("OpenVINO is not installed: pip install 'edgehr[openvino]'", "^no runtime is installed: pip install"),
        ("OpenVINO is installed but does not load (x)", "installed but does not load"),
    ):
        monkeypatch.setattr(packaged, "load_attribute", missing(reason))
        with pytest.raises(MissingDependencyError, match=message) as caught:
            edgehr.PoseEstimator()
        assert "edgehr[openvino]" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_what_ships() -> None:
    assert packaged_models() == sorted([DEFAULT_MODEL, DEFAULT_DETECTOR, DEFAULT_SEGMENTER])
    assert all(packaged_model(name, ".tflite").is_file() for name in packaged_models())


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", [DEFAULT_MODEL, DEFAULT_SEGMENTER])
def test_packaged_models_agree_with_the_networks(name: str, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """If this fails after a change of networks or weights, run `make assets`."""
    from edgehr.converters.compare import compare, comparison_batch
    from edgehr.converters.convert import check_difference
    from edgehr.models.runtime import TorchRuntime

    only(monkeypatch, backend)
    card = get_card(name)
    with packaged.open_packaged(name, threads=1) as runtime:
        assert runtime.artifact is not None
        assert runtime.artifact.precision == "fp16"
        assert runtime.card.weights == card.weights
        assert runtime.card.spec == card.spec
        difference = compare(card, TorchRuntime(card, find_weights(card)), runtime, comparison_batch(card))
    check_difference(name, "PyTorch", "fp16", difference)
    assert difference.relative_mean < 3e-3


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_packaged_detector_agrees_with_the_published_graph(
    backend: str, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgehr.converters.compare import compare, comparison_batch
    from edgehr.converters.source import open_source

    only(monkeypatch, backend)
    card = get_card(DEFAULT_DETECTOR)
    source = open_source(card, shared / "detectors" / "rtmdet_nano_person_320.onnx")
    with packaged.open_packaged(card.name, threads=1) as runtime:
        assert runtime.card.weights == card.weights
        difference = compare(card, source.reference, runtime, comparison_batch(card))
    assert difference.relative_mean < 5e-3
    assert difference.boxes_mean < 0.1


@pytest.mark.slow
def test_the_detector_is_made_again_of_itself(tmp_path: Path) -> None:
    import onnx
    from onnx import numpy_helper

    from edgehr.converters.packaged_models import make

    made, _ = make(tmp_path, DEFAULT_DETECTOR)
    weights = [
        {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}
        for path in (made, packaged_model(DEFAULT_DETECTOR))
    ]
    assert weights[0].keys() == weights[1].keys()
    assert all((weights[0][name] == weights[1][name]).all() for name in weights[0])
