"""OpenCV, which the rest of edgehr takes from here: where it does not load, one line says why and what helps.

Its packages share one folder, and some of them need the libraries of a desktop, so that an OpenCV which is installed
often does not load.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from edgehr.dependencies import loading_native
from edgehr.errors import MissingDependencyError, first_line

__all__ = ["cv2", "explain", "installed_packages", "overlap", "window_cure"]

# All of them put their files into the folder `cv2`.
PACKAGES = (
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)
HEADLESS = "opencv-python-headless"
_MAX_PIXELS = "OPENCV_IO_MAX_IMAGE_PIXELS"
# The package of Debian, Ubuntu and Raspberry Pi OS that has a library which OpenCV with windows needs.
DEBIAN_PACKAGES = {
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libSM.so.6": "libsm6",
    "libICE.so.6": "libice6",
    "libX11.so.6": "libx11-6",
    "libXext.so.6": "libxext6",
    "libXrender.so.1": "libxrender1",
    "libxcb.so.1": "libxcb1",
}


def installed_packages() -> dict[str, str]:
    """List the OpenCV packages that pip knows here, with their versions; of a system's own OpenCV it knows none."""
    found = {}
    for name in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def overlap(packages: dict[str, str]) -> str:
    """Say of several packages that they overwrite one another, and what to do; return nothing of one or none."""
    if len(packages) < 2:
        return ""
    named = " and ".join(f"{name} {number}" for name, number in packages.items())
    kept = next((name for name in packages if name.endswith("headless")), HEADLESS)
    return f"{named} overwrite each other in one folder: {_replace(packages, kept)}"


def window_cure() -> str:
    """Say what to do about an OpenCV without windows."""
    packages = installed_packages()
    if not packages:
        return "take one with windows, or watch in a browser (edgehr demo --serve 8080)"
    kept = next(iter(packages)).removesuffix("-headless")
    return f"{_replace(packages, kept)}, or watch in a browser (edgehr demo --serve 8080)"


def _replace(packages: dict[str, str], kept: str) -> str:
    return f"pip uninstall -y {' '.join(packages)} && pip install {kept}"


def explain(error: Exception) -> str:
    """Turn what went wrong in `import cv2` into one line: the reason, and the cure."""
    packages = installed_packages()
    reason = first_line(error)
    if isinstance(error, ModuleNotFoundError) and error.name == "cv2" and not packages:
        return (
            f"OpenCV is not installed: pip install {HEADLESS} (opencv-python where a window is wanted), or take the "
            "system's own (apt-get install python3-opencv, and an environment with --system-site-packages)"
        )
    named = ", ".join(f"{name} {number}" for name, number in packages.items()) or "it did not come from pip"
    cure = overlap(packages) or _cure(reason, packages)
    return f"OpenCV is installed ({named}) but does not load: {reason}{': ' if cure else ''}{cure}"


def _cure(reason: str, packages: dict[str, str]) -> str:
    library = re.search(r"(lib[\w.+-]+?\.so[.\d]*): cannot open shared object file", reason)
    if library:
        package = DEBIAN_PACKAGES.get(library[1])
        # Only the first that is missing is named; where it is one of a desktop, the others will be missing too.
        needed = dict.fromkeys(("libgl1", "libglib2.0-0", package))
        system = f"apt-get install {' '.join(map(str, needed))}" if package else f"install the system's {library[1]}"
        if packages and not any(name.endswith("headless") for name in packages):
            kept = f"{next(iter(packages))}-headless"
            return f"{_replace(packages, kept)}, which needs no screen; or {system}"
        return system
    if "stands before" in reason or "numpy" in reason.lower():
        return ""  # the reason says it
    if "static TLS block" in reason:  # of ARM boards, where another package has taken the room
        return f"export LD_PRELOAD={reason.split(': ')[0]}"
    if "GLIBC" in reason:
        return "it was made for a newer system: take this system's own (apt-get install python3-opencv)"
    if "DLL load failed" in reason:
        return "install Microsoft's Visual C++ Redistributable, and on Windows N the Media Feature Pack"
    name = next(iter(packages), HEADLESS)
    return f"pip install --force-reinstall --no-deps {name}" if packages else f"pip install {name}"


def _check_whole() -> None:
    """Raise ImportError for a `cv2` that is something else, or what an OpenCV that was uninstalled has left behind."""
    if hasattr(cv2, "imdecode"):
        return
    if file := getattr(cv2, "__file__", None):
        raise ImportError(f"{file} is another cv2 and stands before it: rename that file")
    raise ImportError(f"what an uninstalled OpenCV has left in {next(iter(cv2.__path__))} is not enough")


@contextlib.contextmanager
def _bounded_pictures() -> Iterator[None]:
    """Give OpenCV, which is loaded in the block and reads it then, a limit of pixels unless the user has set one.

    A picture of a few bytes may say that it is of a billion pixels, OpenCV's own limit, and take gigabytes. Processes
    that are started later do not get the limit.
    """
    if _MAX_PIXELS in os.environ:
        yield
        return
    os.environ[_MAX_PIXELS] = str(1 << 28)
    try:
        yield
    finally:
        del os.environ[_MAX_PIXELS]


try:
    with loading_native(), _bounded_pictures():
        import cv2

        _check_whole()
except Exception as error:  # its own Python files, in a folder of two versions, may raise anything
    with contextlib.suppress(AttributeError):
        del sys.OpenCV_LOADER  # type: ignore[attr-defined]  # else the next try fails for "recursion", whatever the cause
    raise MissingDependencyError(explain(error)) from error
