"""Make docs/licenses.md: the license of each package that an extra of edgehr names, and of what these bring with them.

    python docs/site/licenses.py > docs/licenses.md

It reads what is installed, which is to be `edgehr[dev]`. What a package's metadata does not say plainly stands here.
"""

from __future__ import annotations

import re
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import tomllib

ROOT = Path(__file__).parents[2]
DEVICE = (
    "opencv",
    "headless",
    "onnxruntime",
    "openvino",
    "tflite",
    "tflite-runtime",
    "tensorrt",
    "tensorrt-rtx",
    "remote",
    "kserve",
    "web",
    "eval",
    "parquet",
    "ray",
    "supervision",
)
# Where metadata has no name of a license, or packages are not installed beside the others.
KNOWN = {
    "contourpy": "BSD-3-Clause",
    "cycler": "BSD-3-Clause",
    "defusedxml": "PSF-2.0",
    "faster-coco-eval": "Apache-2.0",
    "kiwisolver": "BSD-3-Clause",
    "kserve": "Apache-2.0",
    "matplotlib": "PSF-2.0 (matplotlib)",
    "mergedeep": "MIT",
    "mpmath": "BSD-3-Clause",
    "onnxscript": "MIT",
    "opencv-python-headless": "Apache-2.0",
    "openvino-telemetry": "Apache-2.0",
    "pathspec": "MPL-2.0",
    "protobuf": "BSD-3-Clause",
    "scipy": "BSD-3-Clause",
    "semantic-version": "BSD-2-Clause",
    "sympy": "BSD-3-Clause",
    "tensorrt": "NVIDIA software license",
    "tensorrt-rtx": "NVIDIA software license",
    "tensorrt-rtx-cu13": "NVIDIA software license",
    "tensorrt-rtx-cu13-bindings": "NVIDIA software license",
    "tensorrt-rtx-cu13-libs": "NVIDIA software license",
    "tflite-runtime": "Apache-2.0",
}
# Packages whose own license asks for sources of what is changed, or whose files bring libraries that do.
COPYLEFT = {
    "opencv-python": "brings FFmpeg (LGPL-2.1) and Qt 5 (LGPL-3.0) as libraries",
    "opencv-python-headless": "brings FFmpeg (LGPL-2.1) as libraries",
    "numpy": "brings GCC's run-time libraries (GPL-3.0 with the exception that frees programs that use them)",
    "scipy": "the same",
    "av": "brings FFmpeg with x264 and x265 (GPL-2.0 or later)",
    "certifi": "MPL-2.0: files of it that you change stay under it",
    "pathspec": "the same",
    "orjson": "the same, in part",
    "tqdm": "the same, in part",
}
NAMES = {
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "MIT License": "MIT",
    "BSD License": "BSD",
    "BSD": "BSD-3-Clause",
    "Python Software Foundation License": "PSF-2.0",
    "ISC License": "ISC",
    "ISC License (ISCL)": "ISC",
}
PAGE = """# Licenses

edgehr has the [Apache License 2.0](https://github.com/edgehr/edgehr/blob/main/LICENSE). Use this page to see the
licenses of the packages that it works with. edgehr contains none of them. pip installs those of the extras that you
name. `make licenses` makes the page from the metadata of what is installed. It is no legal advice.
[NOTICE](https://github.com/edgehr/edgehr/blob/main/NOTICE) lists what edgehr itself contains of others.

## What a device installs

{device}

## What a workstation adds

{workstation}

## What developers of edgehr add

{developers}

## What these bring with them

{others}

## Copyleft, and what it means

| package | what |
| --- | --- |
{copyleft}

- **LGPL libraries** (FFmpeg, Qt) lie as files of their own beside OpenCV. You may ship them with a closed product if
  you pass on their license, say where their source is, and let users replace them. `opencv-python-headless` has no Qt.
  A device's own OpenCV (`apt install python3-opencv`) has its distribution's FFmpeg.
- **GPL**: `av`, which `edgehr[supervision]` brings by way of supervision, has x264 and x265 in its wheels. edgehr
  itself does not use it. Leave that extra out of a closed product, or build `av` without them.
- **MPL-2.0** concerns the files of those packages alone. Nothing follows unless you change them.
- **TensorRT and TensorRT-RTX** are NVIDIA's and closed. Their license allows to ship some of their files with an
  application; read it first.
"""


def canonical(name: str) -> str:
    """Return a package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def named(requirements: list[str]) -> list[str]:
    """List the packages that requirements name, without edgehr itself."""
    names = [canonical(re.split(r"[\s<>=!~;\[(]", line, maxsplit=1)[0]) for line in requirements]
    return list(dict.fromkeys(name for name in names if name != "edgehr"))


def extras() -> dict[str, list[str]]:
    """Read the requirements of each extra, and of edgehr itself under an empty name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return {"": project["dependencies"], **project["optional-dependencies"]}


def groups() -> dict[str, list[str]]:
    """List the packages that extras name: those of devices, of workstations and of developers, each once."""
    found: dict[str, list[str]] = {"device": [], "workstation": [], "developers": []}
    for extra, requirements in extras().items():
        group = "device" if extra in ("", *DEVICE) else "developers" if extra in ("dev", "docs") else "workstation"
        known = [name for names in found.values() for name in names]
        found[group] += [name for name in named(requirements) if name not in known]
    return found


def license_of(name: str) -> str:
    """Name the license of a package, by this file or by its metadata.

    Raises:
        ValueError: Neither names one.
    """
    if name in KNOWN:
        return KNOWN[name]
    try:
        meta = distribution(name).metadata
    except PackageNotFoundError:
        raise ValueError(f"{name} is not installed: name its license in KNOWN") from None
    plain = (meta.get("License") or "").strip()
    classifiers = [
        line.split(" :: ")[-1] for line in meta.get_all("Classifier", []) if line.startswith("License :: OSI")
    ]
    for text in (meta.get("License-Expression"), plain if len(plain) < 40 and plain != "UNKNOWN" else "", *classifiers):
        if text:
            return NAMES.get(text, text)
    raise ValueError(f"{name} names no license: name it in KNOWN")


def brought(names: list[str]) -> list[str]:
    """List what installed packages need, and what those need, without the packages themselves."""
    found: dict[str, None] = {}
    queue = list(names)
    while queue:
        try:
            package: Distribution = distribution(queue.pop())
        except PackageNotFoundError:
            continue
        needed = named([line for line in package.requires or [] if "extra ==" not in line])
        for name in needed:
            if name not in found and name not in names and _is_installed(name):
                found[name] = None
                queue.append(name)
    return sorted(found)


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def page() -> str:
    """Return the page."""
    found = groups()

    def table(names: list[str]) -> str:
        rows = [f"| `{name}` | {license_of(name)}{' *' if name in COPYLEFT else ''} |" for name in names]
        return "\n".join(["| package | license (* see [below](#copyleft-and-what-it-means)) |", "| --- | --- |", *rows])

    every = [name for names in found.values() for name in names]
    others = brought(every)
    by_license: dict[str, list[str]] = {}
    for name in others:
        by_license.setdefault(license_of(name), []).append(f"{name}{' *' if name in COPYLEFT else ''}")
    listed = [f"- **{kind}**: {', '.join(by_license[kind])}" for kind in sorted(by_license)]
    copyleft = [f"| `{name}` | {COPYLEFT[name]} |" for name in COPYLEFT if name in (*every, *others)]
    tables = {name: table(names) for name, names in found.items()}
    return PAGE.format(**tables, others="\n".join(listed), copyleft="\n".join(copyleft))


if __name__ == "__main__":
    print(page(), end="")
