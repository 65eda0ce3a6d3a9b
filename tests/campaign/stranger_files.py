"""Model files, archives and annotations of strangers: hashes that are wrong, and names that lead out of the folder."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

# Names that lead elsewhere; {outside} is a file that is there.
NAMES = ("../{name}", "../../{name}", "{outside}", "/etc/passwd", "a/../../{name}", "..", "", "a\0b", "sub/{name}")
Make = Callable[[Path, Path, Random, Path], None]


def _name(chance: Random, outside: Path) -> str:
    return chance.choice(NAMES).format(name=outside.name, outside=outside)


def bundle(given: Path, samples: Path, chance: Random, outside: Path) -> None:
    """A bundle whose graph is not the one that its hash is of, or with other members."""
    with zipfile.ZipFile(samples / "bundle" / "a.trtbundle") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    description = json.loads(members["bundle.json"])
    way = chance.randrange(4)
    if way == 0:
        members["model.onnx"] = members["model.onnx"][:-1] + b"x"
    elif way == 1:
        description["onnx_sha256"] = hashlib.sha256(chance.randbytes(8)).hexdigest()
    elif way == 2:
        members[_name(chance, outside) or "x"] = members.pop(chance.choice(("model.onnx", "bundle.json")))
    else:
        description["artifact"]["parts"] = {"a": {"file": _name(chance, outside), "sha256": "0" * 64}}
    if "bundle.json" in members:
        members["bundle.json"] = json.dumps(description).encode()
    if way == 3 and description["artifact"]["parts"]["a"]["file"] in ("a", outside.name):
        description["artifact"]["parts"]["a"]["file"] = ".."
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    (given / "a.trtbundle").write_bytes(packed.getvalue())


def plan(given: Path, samples: Path, chance: Random, outside: Path) -> None:
    """A plan that another one has taken the place of, with the sidecar of the first, or with one that was changed."""
    content, sidecar = (
        (samples / "plan" / "a.plan").read_bytes(),
        json.loads((samples / "plan" / "a.plan.json").read_text()),
    )
    if chance.random() < 0.5:
        content = chance.randbytes(len(content))
    else:
        name = chance.choice([name for name in sidecar if name != "sidecar_sha256"])
        sidecar[name] = chance.choice((None, "x", 5, {}, []))
    (given / "a.plan").write_bytes(content)
    (given / "a.plan.json").write_text(json.dumps(sidecar))


def tuned(given: Path, samples: Path, chance: Random, outside: Path) -> None:
    """A choice of `edgehr tune` that names a file elsewhere, or another model than it was written for."""
    data = json.loads((samples / "tuned" / "a.tuned").read_text())
    if chance.random() < 0.7:
        data["file"] = _name(chance, outside)
        data["sha256"] = hashlib.sha256(outside.read_bytes()).hexdigest()
    else:
        data["sha256"] = hashlib.sha256(chance.randbytes(8)).hexdigest()
    (given / "m.tflite").write_bytes((samples / "tuned" / "m.tflite").read_bytes())
    (given / "a.tuned").write_text(json.dumps(data))


def parts(given: Path, samples: Path, chance: Random, outside: Path) -> None:
    """A model that says that parts of it are in files elsewhere, or that have another hash."""
    from dataclasses import replace

    import onnx

    from edgehr.runtimes.artifact import METADATA_KEY
    from tests.campaign.damage_samples import artifact
    from tests.runtimes.small_models import conv_model

    described = json.loads(replace(artifact(), parts={}).to_json())
    described["schema"] = 2
    described["parts"] = {
        "head": {"file": _name(chance, outside), "sha256": hashlib.sha256(outside.read_bytes()).hexdigest()}
    }
    if chance.random() < 0.2:
        (given / "b.onnx").write_bytes(conv_model().SerializeToString())
        described["parts"]["head"] = {"file": "b.onnx", "sha256": "0" * 64}
    model = conv_model()
    entry = model.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, json.dumps(described)
    onnx.save(model, given / "a.onnx")


def external_data(given: Path, samples: Path, chance: Random, outside: Path) -> None:
    """An ONNX graph whose weights are said to be in a file elsewhere, or behind a link to one."""
    from onnx import TensorProto

    from tests.runtimes.small_models import conv_model

    model = conv_model()
    weight: Any = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    place = chance.choice([name for name in NAMES if name not in ("", "a\0b")])
    location = place.format(name=outside.name, outside=outside)
    if chance.random() < 0.3:
        location = "linked.bin"
        os.symlink(outside, given / location)
    for key, value in (("location", location), ("offset", "0"), ("length", "48")):
        entry = weight.external_data.add()
        entry.key, entry.value = key, value
    (given / "a.onnx").write_bytes(model.SerializeToString())


def annotations(given: Path, samples: Path, chance: Random, outside: Path) -> None:
    """A COCO file whose pictures are said to be elsewhere."""
    data = json.loads((samples / "keypoints" / "a.json").read_text())
    data["images"][0]["file_name"] = _name(chance, outside)
    os.symlink(samples / "keypoints" / "images", given / "images")
    (given / "a.json").write_text(json.dumps(data))


def card(given: Path, samples: Path, chance: Random, outside: Path) -> None:
    """A card whose weights would be put, or taken from, elsewhere."""
    data = json.loads((samples / "card" / "0.json").read_text())
    addresses = (
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "data:,x",
        "//127.0.0.1/x",
        "HTTP:/x",
        "javascript:x",
        "/etc/passwd",
    )
    if chance.random() < 0.5:
        data["weights"] |= {"file": _name(chance, outside) or "..", "url": "http://127.0.0.1:9/x"}
    else:
        data["weights"] |= {"file": "x.pth", "url": chance.choice(addresses)}
    (given / "a.json").write_text(json.dumps(data))


def archive(given: Path, samples: Path, chance: Random, outside: Path) -> None:
    """An archive in place of a checkpoint, whose members would be unpacked elsewhere."""
    import tarfile

    path = given / f"a.{chance.choice(('pth', 'pkl', 'safetensors', 'tar'))}"
    name = _name(chance, outside).replace("\0", "x") or ".."
    if chance.random() < 0.5:
        with tarfile.open(path, "w") as packed:
            entry = tarfile.TarInfo(name)
            if chance.random() < 0.5:
                entry.type, entry.linkname = tarfile.SYMTYPE, str(outside)
                packed.addfile(entry)
            else:
                entry.size = 3
                packed.addfile(entry, io.BytesIO(b"abc"))
            for member in ("sys_info", "pickle", "storages", "tensors"):
                packed.addfile(tarfile.TarInfo(member))
        return
    with zipfile.ZipFile(samples / "pth" / "a.pth") as whole, zipfile.ZipFile(path, "w") as zipped:
        for member in whole.namelist():
            zipped.writestr(name if member.endswith("data/0") else member, whole.read(member))


MAKERS: dict[str, Make] = {
    "bundle": bundle,
    "plan": plan,
    "tuned": tuned,
    "parts": parts,
    "external data": external_data,
    "annotations": annotations,
    "card": card,
    "archive": archive,
}


def secret(path: Path) -> None:
    """Write the file that lies outside: a picture's name, the bytes of a weight."""
    path.write_bytes(np.full(12, 3.0, np.float32).tobytes())
