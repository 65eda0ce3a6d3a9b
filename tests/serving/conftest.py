from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgehr.assets import packaged_model
from edgehr.serving.measure import Arrangement
from edgehr.serving.plan import plan
from edgehr.serving.repository import add
from edgehr.zoo import DEFAULT_DETECTOR, DEFAULT_MODEL
from tests.serving.certificates import Certificates, make_certificates
from tests.serving.servers import Server, kserve, triton

# A model that says nothing of itself, and one that answers late.
BARE = """
import time
import numpy as np
import triton_python_backend_utils as utils

class TritonPythonModel:
    def execute(self, requests):
        answers = []
        for request in requests:
            x = utils.get_input_tensor_by_name(request, "x").as_numpy()
            if x[0] == 1:
                raise ValueError("it does not like 1")
            if x[0] == 2:
                time.sleep(2)
            answers.append(utils.InferenceResponse([utils.Tensor("y", np.zeros(0 if x[0] == 3 else 1, np.float32))]))
        return answers
"""
BARE_CONFIGURATION = """
backend: "python"
input [ { name: "x" data_type: TYPE_FP32 dims: [ 1 ] } ]
output [ { name: "y" data_type: TYPE_FP32 dims: [ -1 ] } ]
"""


@pytest.fixture(scope="session")
def files() -> dict[str, Path]:
    """The models that are served, by their names there."""
    return {"pose": packaged_model(DEFAULT_MODEL, ".onnx"), "detector": packaged_model(DEFAULT_DETECTOR, ".onnx")}


def repository(folder: Path, server: str, files: dict[str, Path]) -> Path:
    for name, file in files.items():
        add(folder / "models", plan(file, server, name, python=server == "triton"), 1, Arrangement())
    return folder / "models"


@pytest.fixture(scope="module")
def triton_server(files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("triton")
    models = repository(folder, "triton", files)
    (models / "bare" / "1").mkdir(parents=True)
    (models / "bare" / "1" / "model.py").write_text(BARE)
    (models / "bare" / "config.pbtxt").write_text(BARE_CONFIGURATION)
    with triton(models, folder).running() as server:
        yield server


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def kserve_server(
    files: dict[str, Path], certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """By HTTP it takes TLS only."""
    folder = tmp_path_factory.mktemp("kserve")
    options = [f"--ssl_certfile={certificates.certificate}", f"--ssl_keyfile={certificates.key}"]
    with kserve(repository(folder, "kserve", files), folder, options, ready="").running() as server:
        yield server


@pytest.fixture
def picture() -> np.ndarray:
    from edgehr.assets import group_picture
    from edgehr.tasks.image.reading import read_image

    return read_image(group_picture())
