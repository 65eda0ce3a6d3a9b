"""A `.tuned` file: a model with the way to run it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import edgehr
from edgehr.assets import packaged_model
from edgehr.cli.main import main
from edgehr.errors import ArtifactError
from edgehr.files import sha256_file
from edgehr.runtimes.formats import format_of
from edgehr.runtimes.tuned import RunConfiguration, TunedModel

MODEL = "hrnetv2-w18-small-v1-person-192x192"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return Path(shutil.copy(packaged_model(MODEL, ".tflite"), tmp_path / "m.tflite"))


def write(model: Path, **run: object) -> Path:
    path = model.with_name("best.tuned")
    TunedModel(model.name, sha256_file(model), RunConfiguration(**run), {"ms": 3.5}).write(path)  # type: ignore[arg-type]
    return path


def test_it_opens_the_model_as_it_was_measured(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(model, threads=2, streams=3)
    with edgehr.load(path) as runtime, edgehr.load(model, threads=2) as plain:
        image = np.zeros(runtime.inputs[0].shape, np.float32)  # type: ignore[arg-type]
        found = runtime.infer({runtime.inputs[0].name: image})
        wanted = plain.infer({plain.inputs[0].name: image})
        assert all(np.array_equal(found[name], wanted[name]) for name in wanted)
        assert runtime._streams.count == 3
        assert plain._streams.count == 2
    asked: list[object] = []
    inner = format_of(model)
    monkeypatch.setattr(type(inner), "open", lambda self, *arguments: asked.append(arguments[1:]) or inner)
    format_of(path).open(write(model, threads=2, precision="fp32"))
    format_of(path).open(path, "GPU", 1, "fp16")
    assert asked == [("auto", 2, "fp32"), ("GPU", 1, "fp16")]  # what the caller asks for wins


def test_every_command_takes_it(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(model, threads=1)
    assert main(["inspect", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["run"]["threads"] == 1
    assert told["files"][0]["name"] == "m.tflite"
    assert (
        main(["bench", str(path), "--rounds", "2", "--starts", "1", "--streams", "0", "--at-once", "2", "--json"]) == 0
    )
    (measured,) = json.loads(capsys.readouterr().out)["candidates"]
    assert measured["images"] == 2
    assert measured["size_bytes"] == model.stat().st_size + path.stat().st_size
    with edgehr.predictor(path) as segmenter:
        assert type(segmenter).__name__ == "Segmenter"


def test_a_file_that_is_not_the_measured_one_is_refused(model: Path) -> None:
    path = write(model)
    model.write_bytes(model.read_bytes()[:-1])
    with pytest.raises(ArtifactError, match=r"m\.tflite beside it is damaged, or not the model"):
        edgehr.load(path)
    model.unlink()
    with pytest.raises(ArtifactError, match=r"best\.tuned: its model m\.tflite is not beside it"):
        edgehr.load(path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schema": 2}, r"or by a later one \(schema 1 is read\)"),
        ({"file": "../m.tflite"}, "which is no model file beside it"),
        ({"file": "best.tuned"}, "which is no model file beside it"),
        ({"file": 3}, "which is no model file beside it"),
        ({"run": {"threads": 0}}, "threads must be a whole number of 1 to 1024, got 0"),
        ({"run": {"streams": True}}, "streams must be"),
        ({"run": {"device": 3}}, "device and precision must be texts"),
        ({"run": {"speed": 3}}, "speed"),
        ({"run": []}, r"best\.tuned"),
        ({"more": 1}, "more"),
    ],
)
def test_damaged_ones_are_one_line(model: Path, changes: dict[str, object], said: str) -> None:
    path = write(model)
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(ArtifactError, match=said) as caught:
        edgehr.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    for content in ("", "{", "[]"):
        path.write_text(content)
        with pytest.raises(ArtifactError, match=r"best\.tuned"):
            edgehr.load(path)


def test_none_is_written_where_its_model_has_gone(model: Path, tmp_path: Path) -> None:
    """Somebody removes the folder, which writing makes anew."""
    path = tmp_path / "gone" / "best.tuned"
    with pytest.raises(ArtifactError, match=r"best\.tuned: its model m\.tflite is not beside it"):
        TunedModel(model.name, sha256_file(model)).write(path)
    assert not path.exists()
