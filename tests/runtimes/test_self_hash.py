"""Files of edgehr know whether they are whole, whatever runtime opens them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from edgehr.converters.onnx.graph import write_artifact
from edgehr.converters.openvino.ir import save_ir, to_ir
from edgehr.errors import ArtifactError
from edgehr.notices import warn_once
from edgehr.runtimes import Artifact, load
from edgehr.runtimes.openvino.runtime import OpenVINORuntime
from edgehr.runtimes.self_hash import is_whole, sealed
from edgehr.zoo import get_card
from tests.runtimes.small_models import conv_model

ARTIFACT = Artifact(get_card("litehrnet-18-coco-256x192"), "fp32", "ab" * 32, {"edgehr": "test"})


Write = Callable[[Path], Path]


def as_onnx(folder: Path) -> Path:
    write_artifact(conv_model(), ARTIFACT, folder / "a.onnx")
    return folder / "a.onnx"


def as_ir(folder: Path) -> Path:
    save_ir(to_ir(conv_model()), folder / "a.xml", ARTIFACT, fp16_weights=False)
    return folder / "a.xml"


@pytest.mark.parametrize("write", [as_onnx, as_ir])
def test_a_changed_byte_is_found_before_a_runtime_sees_the_file(write: Write, tmp_path: Path) -> None:
    path = write(tmp_path)
    whole = path.read_bytes()
    with load(path) as runtime:
        assert runtime.artifact == ARTIFACT
    own = whole.rindex(b"sha256") - 20  # where the hash itself stands, damage does no harm
    for place in range(0, own, 41):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        with pytest.raises(ArtifactError, match="was damaged or altered: it is not the file that edgehr wrote"):
            load(path)
    for length in (len(whole) // 2, len(whole) - 200):
        path.write_bytes(whole[:length])
        with pytest.raises(ArtifactError):
            load(path)


def test_openvino_looks_at_the_hash_of_an_onnx_file_too(tmp_path: Path) -> None:
    path = as_onnx(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"heatmaps", b"heatmapz"))
    with pytest.raises(ArtifactError, match="was damaged or altered"):
        OpenVINORuntime(path)


def test_what_another_program_has_written_anew_is_opened_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = as_onnx(tmp_path)
    model = onnx.load(path)
    model.producer_name = "a quantizer"
    onnx.save(model, path)
    warn_once.cache_clear()
    with caplog.at_level(logging.WARNING), load(path) as runtime:
        assert runtime.artifact == ARTIFACT
        assert runtime.infer({"image": np.ones((1, 3, 8, 8), np.float32)})
    assert "another program has written it anew, or it is damaged" in caplog.text


def test_files_of_earlier_versions_have_no_hash(tmp_path: Path) -> None:
    from edgehr.converters.onnx.graph import described

    onnx.save(described(conv_model(), ARTIFACT), tmp_path / "a.onnx")
    with load(tmp_path / "a.onnx") as runtime:
        assert runtime.artifact == ARTIFACT


def test_a_file_is_sealed_where_its_placeholder_stands(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(sealed(b"one: " + b"0" * 64 + b" " + b"0" * 12 + b" two", b"one: "))
    assert is_whole(path, b"one: ", b"one")
    assert not is_whole(path, b"three: ", b"three")
    with pytest.raises(ArtifactError, match="was damaged or altered"):
        is_whole(path, b"one:  ", b"one")
    path.write_bytes(b"")
    with pytest.raises(ArtifactError, match="cannot be read"):
        is_whole(path, b"one: ", b"one")
    with pytest.raises(ValueError, match="placeholder"):
        sealed(b"one: two", b"one: ")
