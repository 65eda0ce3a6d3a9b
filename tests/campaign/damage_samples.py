"""Whole files of every kind that edgehr reads, small ones, made once for a campaign of damage."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

SIZE = (64, 48)


def make_samples(folder: Path) -> None:
    """Write all samples; each kind is a folder of files."""
    for make in (_checkpoints, _models, _cards, _annotations, _pictures, _results):
        make(folder)


def place(folder: Path, kind: str) -> Path:
    """Return the folder of a kind, and make it."""
    path = folder / kind
    path.mkdir(parents=True, exist_ok=True)
    return path


def artifact() -> Any:
    """Describe a small model as one of edgehr."""
    from edgehr.runtimes import Artifact
    from edgehr.zoo import get_card

    return Artifact(
        get_card("litehrnet-18-coco-256x192"), "fp32", "ab" * 32, {"edgehr": "test"}, "cd" * 32, ("a/" * 16,)
    )


def _checkpoints(folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    from tests.models.little_pose import STATE

    content = {"meta": {"epoch": 3, "names": ["a", "b"]}, "state_dict": STATE, "optimizer": {"lr": [0.1], "t": STATE}}
    torch.save(content, place(folder, "pth") / "a.pth")
    torch.save(content, place(folder, "legacy pth") / "a.pth", _use_new_zipfile_serialization=False)
    plain = {"model": {name: tensor.numpy() for name, tensor in STATE.items()}, "kind": "x"}
    (place(folder, "pickle") / "a.pkl").write_bytes(pickle.dumps(plain, protocol=2))
    save_file(STATE, place(folder, "safetensors") / "a.safetensors", {"format": "pt", "edgehr": "x"})


def _models(folder: Path) -> None:
    import onnx
    import openvino as ov

    from edgehr.converters.onnx.graph import write_artifact
    from edgehr.converters.openvino.ir import save_ir, to_ir
    from edgehr.files import sha256_file
    from edgehr.runtimes.tensorrt.bundle import Bundle
    from edgehr.runtimes.tensorrt.settings import BuildSettings
    from edgehr.runtimes.tensorrt.sidecar import Sidecar
    from edgehr.runtimes.tuned import RunConfiguration, TunedModel
    from tests.runtimes.small_models import conv_model
    from tests.runtimes.small_tflite import Op, T, conv, doubling, ints, options, write

    write_artifact(conv_model(), artifact(), place(folder, "onnx") / "a.onnx")
    onnx.save(conv_model(), place(folder, "foreign onnx") / "a.onnx")
    save_ir(to_ir(conv_model()), place(folder, "ir") / "a.xml", artifact(), fp16_weights=False)
    graph = ov.Core().read_model(str(folder / "foreign onnx" / "a.onnx"))
    ov.save_model(graph, place(folder, "foreign ir") / "a.xml", compress_to_fp16=False)
    doubling(place(folder, "tflite") / "a.tflite", artifact=artifact())
    doubling(place(folder, "foreign tflite") / "a.tflite")
    resized = T((1, 16, 16, 4))
    made, flat = T(), T((1, 256))
    reshape = Op("RESHAPE", [made, ints(1, 256)], [flat], options("Reshape", newShape=[1, 256]))
    enlarge = Op("RESIZE_BILINEAR", [T(), ints(16, 16)], [resized], options("ResizeBilinear"))
    write(folder / "foreign tflite" / "b.tflite", conv(out=made), reshape, enlarge)
    Bundle(conv_model().SerializeToString(), artifact(), BuildSettings()).write(place(folder, "bundle") / "a.trtbundle")
    plan = np.random.default_rng(0).integers(0, 256, 3000, np.uint8).tobytes()
    path = place(folder, "plan") / "a.plan"
    path.write_bytes(plan)
    sidecar = Sidecar(
        *(
            sha256_file(path),
            len(plan),
            "ef" * 32,
            "tensorrt",
            "10.3.0",
            "Some Ada",
            "8.9",
            {"fp16": 3},
            "engine inspector",
        ),
        *({"image": [1, 3, 8, 8]}, {"y": [1, 4, 8, 8]}, BuildSettings(), artifact()),
    )
    path.with_name("a.plan.json").write_text(sidecar.to_json())
    model = doubling(place(folder, "tuned") / "m.tflite", artifact=artifact())
    run = RunConfiguration(threads=1, streams=2)
    TunedModel(model.name, sha256_file(model), run, {"ms": 3.5, "of": ["a"]}).write(model.with_name("a.tuned"))


def _cards(folder: Path) -> None:
    from edgehr.zoo import get_card

    for number, name in enumerate(
        (
            "litehrnet-18-coco-256x192",
            "rtmdet-nano-person-320x320",
            "hrnetv2-w18-small-v1-person-192x192",
            "hrnetv2-w18-wflw-256x256",
            "hrnet-w18-imagenet-224x224",
        )
    ):
        (place(folder, "card") / f"{number}.json").write_text(json.dumps(get_card(name).to_dict()))
    (place(folder, "description") / "a.json").write_text(artifact().to_json())


def _annotations(folder: Path) -> None:
    width, height = SIZE
    picture = np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)
    images = [{"id": n, "file_name": f"{n}.png", "width": width, "height": height} for n in (1, 2)]
    for kind in ("keypoints", "objects", "detections", "faces", "labels", "label images"):
        beside = place(folder, kind) / "images"
        beside.mkdir(exist_ok=True)
        for image in images:
            cv2.imwrite(str(beside / str(image["file_name"])), picture)
    points: list[Any] = [point for n in range(17) for point in (3 + n, 5 + n, 2)]
    people = [
        {
            "id": n,
            "image_id": n,
            "category_id": 1,
            "bbox": [2, 3, 30, 40],
            "area": 600.5,
            "iscrowd": 0,
            "keypoints": points,
        }
        for n in (1, 2)
    ]
    person = [{"id": 1, "name": "person", "keypoints": [f"k{n}" for n in range(17)], "skeleton": [[1, 2]]}]
    whole = {"info": {"year": 2026}, "images": images, "annotations": people, "categories": person}
    for kind in ("keypoints", "detections"):
        (folder / kind / "a.json").write_text(json.dumps(whole))
    boxes = [{"image_id": n, "category_id": 1, "bbox": [2.5, 3, 30, 40], "score": 0.9} for n in (1, 2)]
    (folder / "detections" / "d.json").write_text(json.dumps(boxes))
    outline = {"segmentation": [[2, 3, 20, 3, 20, 30, 2, 30]]}
    objects = [{**{k: v for k, v in one.items() if k != "keypoints"}, **outline} for one in people]
    counts = {"segmentation": {"size": [height, width], "counts": [100, 50, height * width - 150]}}
    objects.append({**objects[0], "id": 3, "iscrowd": 1, **counts})
    named = [{"id": 1, "name": "person"}, {"id": 2, "name": "dog"}]
    (folder / "objects" / "a.json").write_text(json.dumps({**whole, "annotations": objects, "categories": named}))
    landmarks: list[Any] = [point for n in range(98) for point in (5 + n % 30, 6 + n % 20, 1)]
    faces = [{**one, "keypoints": landmarks, "center": [30.0, 20.0], "scale": 0.2} for one in people]
    (folder / "faces" / "a.json").write_text(json.dumps({**whole, "annotations": faces}))
    (folder / "labels" / "a.txt").write_text("1.png 207\n2.png n02099601\n")
    (folder / "label images" / "truth").mkdir(exist_ok=True)
    for image in images:
        truth = np.random.default_rng(2).integers(0, 2, (height, width), np.uint8)
        cv2.imwrite(str(folder / "label images" / "truth" / str(image["file_name"])), truth)


def _pictures(folder: Path) -> None:
    picture = np.random.default_rng(3).integers(0, 256, (70, 90, 3), np.uint8)
    picture[10:60] = cv2.GaussianBlur(picture, (0, 0), 5)[10:60]
    for suffix in ("jpg", "png", "webp", "bmp", "tiff"):
        cv2.imwrite(str(place(folder, suffix) / f"a.{suffix}"), picture)
    for suffix, codec in (("mp4", "mp4v"), ("avi", "MJPG")):
        path = place(folder, suffix) / f"a.{suffix}"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), 10, (64, 48))
        for number in range(12):
            writer.write(np.roll(picture[:48, :64], number, axis=1))
        writer.release()


def _results(folder: Path) -> None:
    """What edgehr itself keeps: a search's journal, a cache of calibration, what another machine measured."""
    import os

    from edgehr.benchmark.bench import Settings, run_bench
    from edgehr.benchmark.candidates import Candidate
    from edgehr.benchmark.remote import plan_text
    from edgehr.calib.cache import cached
    from edgehr.tune.journal import Journal

    journal = Journal(place(folder, "journal") / "journal.json")
    journal.write("race", {"a": 1}, {"ms": [1.5, 2.0]})
    journal.write("accuracy", {"a": [1, {"b": 2}]}, {"ap": 0.5})
    before = os.environ.get("EDGEHR_CACHE")
    os.environ["EDGEHR_CACHE"] = str(place(folder, "calibration cache"))
    try:
        cached({"a": 1}, lambda: {"x": np.arange(50, dtype=np.float32), "names": np.array(["a", "b"])})
    finally:
        del os.environ["EDGEHR_CACHE"]
        if before is not None:
            os.environ["EDGEHR_CACHE"] = before
    candidate = Candidate(folder / "foreign tflite" / "a.tflite")
    report = run_bench([candidate, replace(candidate, threads=1)], Settings(rounds=4, starts=0))
    (place(folder, "measurement") / "a.json").write_text(json.dumps(report.to_dict()))
    (place(folder, "bench plan") / "a.json").write_bytes(plan_text([candidate], Settings()))
