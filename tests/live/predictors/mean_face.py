"""A network for face landmarks that sees the same face in every crop: where it lands tells where was looked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edgehr.card import ModelCard
from edgehr.converters.onnx.graph import described
from edgehr.runtimes import Artifact


def mean_face(shared: Path, name: str, card: ModelCard) -> np.ndarray:
    """(K, 2) mean of a set's annotated faces, in parts of the window that goes into the network."""
    faces = json.loads((shared / "data" / "mmpose-samples" / name / f"test_{name}.json").read_text())["annotations"]
    points = np.array([face["keypoints"] for face in faces], float).reshape(len(faces), -1, 3)[..., :2]
    centers, sides = np.array([face["center"] for face in faces]), [200 * face["scale"] for face in faces]
    places = (points - centers[:, None]) / np.array(sides)[:, None, None] / card.spec.padding + 0.5
    return np.array(places.mean(axis=0))


def save_mean_face(path: Path, card: ModelCard, face: np.ndarray) -> None:
    """Write it as an artifact of any batch, whose heatmaps are Gaussians around the landmarks (K, 2) of `face`."""
    height, width = card.input.height // 4, card.input.width // 4
    y, x = np.mgrid[:height, :width]
    across, down = (face * [width, height]).T
    distances = (x - across[:, None, None]) ** 2 + (y - down[:, None, None]) ** 2
    constants = {"maps": np.exp(-distances[None] / 8), "nothing": np.zeros(1)}
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Mul", ["mean", "nothing"], ["zero"]),
        helper.make_node("Add", ["zero", "maps"], ["heatmaps"]),
    ]
    values = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in constants.items()]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, card.input.height, card.input.width])
    maps = helper.make_tensor_value_info("heatmaps", TensorProto.FLOAT, ["N", len(face), height, width])
    graph = helper.make_graph(nodes, "mean_face", [image], [maps], values)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(described(model, Artifact(card, "fp32", "", {})), path)
