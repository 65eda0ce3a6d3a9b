"""The runtimes of the page: packages of the npm registry, at pinned versions, checked, kept in the cache."""

from __future__ import annotations

import base64
import hashlib
import logging
import os
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgehr.errors import EdgehrError
from edgehr.files import cache_folder
from edgehr.zoo import download

_LOG = logging.getLogger("edgehr.live")

PUBLIC_REGISTRY = "https://registry.npmjs.org"

Progress = Callable[[int, "int | None"], None]


@dataclass(frozen=True, eq=False)
class Package:
    """Names a package of the registry and what of it the page needs.

    Attributes:
        name: With its scope.
        version: Exact.
        integrity: SHA-512 of the archive in base64, as the registry states it.
        license: SPDX identifier.
        home: Where its source is.
        files: Path in the page's folder of runtimes, by path in the package.
    """

    name: str
    version: str
    integrity: str
    license: str
    home: str
    files: Mapping[str, str]

    @property
    def archive(self) -> str:
        """Name the archive as the registry does."""
        return f"{self.name.rpartition('/')[2]}-{self.version}.tgz"


ONNXRUNTIME_WEB = Package(
    "onnxruntime-web",
    "1.30.0",
    "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ==",
    "MIT",
    "https://github.com/microsoft/onnxruntime",
    {
        # By a suffix that every web server knows the type of.
        f"dist/{file}": f"onnxruntime-web/{file.replace('.mjs', '.js')}"
        for file in (
            "ort.wasm.min.mjs",
            "ort-wasm-simd-threaded.mjs",
            "ort-wasm-simd-threaded.wasm",
            "ort.webgpu.min.mjs",
            "ort-wasm-simd-threaded.asyncify.mjs",
            "ort-wasm-simd-threaded.asyncify.wasm",
        )
    },
)
LITERT = Package(
    "@litertjs/core",
    "2.5.3",
    "PlGmbMOq9WitX7FO0jhbdJw9GthatsyuCQXjTt/wJZo0FLaw48q4tz8IwqgqCIkviYGr9OFDL1kCnN4nzWoyJQ==",
    "Apache-2.0",
    "https://github.com/google-ai-edge/LiteRT",
    {
        "dist/index.js": "litert/index.js",
        **{
            f"wasm/litert_wasm_{kind}internal.{suffix}": f"litert/wasm/litert_wasm_{kind}internal.{suffix}"
            for kind in ("", "compat_", "threaded_")
            for suffix in ("js", "wasm")
        },
    },
)
WASM_UTILS = Package(
    "@litertjs/wasm-utils",
    "2.5.3",
    "4fJiw6tBQnIs+0jH/OQ16nYOiSl8/+zZnn5h2ul8aTKHi05sVqZW580Tmk78pC2kT39A9OYBVdFawteZ/sI1kQ==",
    "Apache-2.0",
    "https://github.com/google-ai-edge/LiteRT",
    {"dist/index.js": "litert/wasm-utils.js"},
)
# What the page needs to run a file of each suffix, and what it calls that.
RUNTIMES = {
    ".onnx": ("onnxruntime-web", (ONNXRUNTIME_WEB,)),
    ".tflite": ("litert", (LITERT, WASM_UTILS)),
}
# Browsers find no package by its name in a worker, so there it is named by its file.
_IMPORT, _IMPORT_HERE = b'from "@litertjs/wasm-utils"', b'from "./wasm-utils.js"'
_CHANGED = b"// Changed by edgehr: @litertjs/wasm-utils is imported from the file beside this one.\n"


def registry_address(given: str | None = None, scope: str = "") -> str:
    """Find the npm registry: the one given, else that of npm's own configuration, else the public one.

    Args:
        given: By the user.
        scope: Of a package, ``@litertjs``, for which npm may be configured apart.

    Raises:
        EdgehrError: It is no address of a web server.
    """
    address = given or _configured(scope) or PUBLIC_REGISTRY
    if not address.startswith(("https://", "http://")):
        raise EdgehrError(f"{address}: not the address of an npm registry: it must begin with https://")
    return address.rstrip("/")


def _configured(scope: str) -> str | None:
    """Read npm's configuration: environment variables first, then the user's file, as npm does."""
    environment = {name.lower(): value for name, value in os.environ.items() if value}
    settings = _npmrc(Path(environment.get("npm_config_userconfig") or Path("~/.npmrc").expanduser()))
    return (
        environment.get(f"npm_config_{scope}:registry")
        or settings.get(f"{scope}:registry")
        or environment.get("npm_config_registry")
        or settings.get("registry")
    )


def _npmrc(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except (OSError, RuntimeError):
        return {}
    pairs = (line.partition("=") for line in lines if not line.lstrip().startswith(("#", ";")))
    return {key.strip(): os.path.expandvars(value.strip().strip("\"'")) for key, _, value in pairs}


def fetch_package(package: Package, registry: str | None = None, progress: Progress | None = None) -> Path:
    """Download the archive of a package into the cache, unless it is there, and check it.

    Args:
        package: The package.
        registry: Address of the registry; None for the configured one.
        progress: See `edgehr.zoo.download`.

    Raises:
        EdgehrError: No network, no such package, another content than the pinned one, or no space.
    """
    path = cache_folder() / "npm" / package.archive
    if path.is_file():
        _check(package, path)
        return path
    scope = package.name.partition("/")[0] if package.name.startswith("@") else ""
    address = f"{registry_address(registry, scope)}/{package.name}/-/{package.archive}"
    _LOG.info("%s %s: downloading it for the page", package.name, package.version)
    download(address, path, lambda part: _check(package, part), progress)
    return path


def is_cached(package: Package) -> bool:
    """Tell whether the archive of a package is in the cache."""
    return (cache_folder() / "npm" / package.archive).is_file()


def unpack(package: Package, archive: Path, folder: Path) -> None:
    """Write the files that the page needs into a folder.

    Raises:
        EdgehrError: The package lacks one.
    """
    with tarfile.open(archive) as packed:
        for name, target in package.files.items():
            try:
                source = packed.extractfile(f"package/{name}")
            except KeyError:
                source = None
            if source is None:
                raise EdgehrError(f"{archive}: holds no {name}, which the page needs")
            content = source.read()
            if package is LITERT and name == "dist/index.js":
                if content.count(_IMPORT) != 1:
                    raise EdgehrError(f"{archive}: {name} does not import @litertjs/wasm-utils as it is known to")
                content = _CHANGED + content.replace(_IMPORT, _IMPORT_HERE)
            path = folder / target
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def _check(package: Package, path: Path) -> None:
    digest = hashlib.sha512(path.read_bytes()).digest()
    if base64.b64encode(digest).decode() != package.integrity:
        raise EdgehrError(
            f"{path}: is not {package.name} {package.version} as it was published (its SHA-512 differs); delete it if "
            "it is still there, and run the command again"
        )
