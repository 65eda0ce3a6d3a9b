"""Image classification as applications use it."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

import edgehr
from edgehr.cli.main import main
from edgehr.errors import EdgehrError, TensorError
from edgehr.zoo import DEFAULT_MODEL, get_card
from tests.live.streams import numbered
from tests.runtimes.small_models import conv_model
from tests.small_classifier import COLORS, color_card, plain, save_classifier


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_classifier(tmp_path_factory.mktemp("classifier") / "colors.onnx", color_card())


def test_a_picture_is_classified(model: Path) -> None:
    with edgehr.ImageClassifier(model) as classifier:
        result = classifier(plain("forest green"))
        assert isinstance(result, edgehr.Classification)
        assert result.best.name == "forest green"
        # Mean 60, 180, 30 times 0.05.
        powers = np.exp([3.0, 9.0, 1.5])
        assert result.best.probability == pytest.approx(powers[1] / powers.sum(), abs=1e-5)
        assert classifier.classes == COLORS
        gray = classifier(np.full((50, 50), 100, np.uint8))
        assert np.allclose(gray.probabilities, 1 / 3)
        with pytest.raises(TensorError, match="an image must be"):
            classifier(np.zeros((0, 0, 3), np.uint8))


@pytest.mark.parametrize("batch", ["N", 1, 2])
def test_several_pictures_at_once_are_as_one_after_the_other(batch: int | str, tmp_path: Path) -> None:
    model = save_classifier(tmp_path / "model.onnx", color_card(), batch=batch)
    images = [plain(color, *size) for color, size in zip(COLORS, ((40, 60), (99, 33), (32, 32)), strict=True)]
    with edgehr.predictor(model, top=1) as classifier:
        assert isinstance(classifier, edgehr.ImageClassifier)
        together = classifier.batch(images)
        assert [result.best.name for result in together] == list(COLORS)
        assert [len(result) for result in together] == [1, 1, 1]
        for one, other in zip(map(classifier, images), together, strict=True):
            assert np.allclose(one.probabilities, other.probabilities)
        assert classifier.batch([]) == []
        with ThreadPoolExecutor(2) as pool:
            assert [result.best.name for result in pool.map(classifier, images)] == list(COLORS)


def test_frames_of_a_source_come_with_their_results(model: Path, tmp_path: Path) -> None:
    for number, color in enumerate(("blue", "red")):
        cv2.imwrite(str(tmp_path / f"{number}.png"), plain(color))
    with edgehr.ImageClassifier(model) as classifier:
        found = [(frame.image.shape, result.best.name) for frame, result in classifier.results(tmp_path)]
        assert found == [((40, 60, 3), "blue"), ((40, 60, 3), "red")]
        drawn = numbered(0)
        classifier.draw(drawn, classifier(plain("red")))
        assert drawn.any()


def test_the_demo_shows_classes(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cv2.imwrite(str(tmp_path / "blue.png"), plain("blue", 300, 400))
    out = tmp_path / "out.png"
    assert (
        main(["demo", "--source", str(tmp_path / "blue.png"), "--model", str(model), "--save", str(out), "--json"]) == 0
    )
    said = json.loads(capsys.readouterr().out)
    assert said["found"] == "classes"
    assert "blue" in json.dumps(said)
    assert (cv2.imread(str(out)) != plain("blue", 300, 400)).any()


def test_models_that_do_not_fit_are_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(EdgehrError, match=r"returns logits .*4.* but colors-32x32 names 3 classes"):
        edgehr.ImageClassifier(save_classifier(tmp_path / "four.onnx", color_card(), outputs=4))
    with pytest.raises(EdgehrError, match="top must be at least 1"):
        edgehr.ImageClassifier(model, top=0)
    with pytest.raises(EdgehrError, match="ImageClassifier has no option detector"):
        edgehr.predictor(model, detector="x")
    import onnx

    from edgehr.converters.onnx.graph import described
    from edgehr.runtimes import Artifact

    pose = described(conv_model(), Artifact(get_card(DEFAULT_MODEL), "fp32", "0" * 64))
    onnx.save(pose, tmp_path / "pose.onnx")
    with pytest.raises(EdgehrError, match="is a model for pose, not for classification"):
        edgehr.ImageClassifier(tmp_path / "pose.onnx")
