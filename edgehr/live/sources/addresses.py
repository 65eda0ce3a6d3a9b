"""Names of cameras and streams, and how OpenCV opens what they name."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from urllib.parse import parse_qsl

from edgehr.errors import EdgehrError
from edgehr.live.sources.devices import Device
from edgehr.opencv import cv2

STREAMS = ("rtsp", "rtsps", "http", "https")
CSI_DEFAULTS = {"width": 1280, "height": 720, "fps": 30, "flip": 0}
SECRET = re.compile(r"([?&;][^=&;?#]*(?:pass|pwd|token|secret|auth|key|sig)[^=&;?#]*=)[^&;#]*", re.IGNORECASE)


def find_device(spec: str, timeout_s: float) -> Device | None:
    """Understand a camera's or stream's name; None where it is none, so a file's.

    Args:
        spec: An index, ``/dev/...``, ``csi:...``, or an address with ``://``.
        timeout_s: Longest time to open it, and to wait for a picture.

    Raises:
        EdgehrError: It is one, but cannot be meant, or this OpenCV lacks what it needs.
    """
    if spec.isascii() and spec.isdigit():
        return _camera(f"camera {int(spec)}", int(spec), timeout_s)
    if spec.startswith("/dev/"):
        return _camera(spec, spec, timeout_s)
    if os.path.exists(spec):
        return None
    if spec.startswith("csi:"):
        return _csi(spec, timeout_s)
    if "://" in spec:
        return _stream(spec, timeout_s)
    return None


def hide_secrets(address: str) -> str:
    """Replace the password of an address (``rtsp://user:***@host``) and the keys in its query.

    A password may hold any character, if against the rules, so everything from the first colon to the last ``@`` goes.
    """
    scheme, mark, rest = address.partition("://")
    login, at, host = rest.rpartition("@")
    user, colon, _ = login.partition(":")
    shown = f"{user}:***@{host}" if at and colon else rest
    return scheme + mark + SECRET.sub(r"\1***", shown)


def _camera(name: str, address: int | str, timeout_s: float) -> Device:
    video4linux = sys.platform == "linux" and cv2.videoio_registry.hasBackend(cv2.CAP_V4L2)
    backend = cv2.CAP_V4L2 if video4linux else cv2.CAP_ANY
    file = Path(address if isinstance(address, str) else f"/dev/video{address}")
    tried = f"V4L2 with {file}" if video4linux else "every kind of camera this OpenCV knows"
    return Device(name, address, backend, tried, lambda: _camera_advice(file), timeout_s=timeout_s)


def _camera_advice(file: Path) -> str:
    if sys.platform != "linux":
        return "is it connected, free, and is this program allowed to use it?"
    if not file.exists():
        there = ", ".join(sorted(map(str, Path("/dev").glob("video*")))) or "no camera"
        return f"there is no {file}; this machine has {there}"
    if not os.access(file, os.R_OK | os.W_OK):
        return f"{file} may not be read: add your user to the group `video` and log in again"
    return "another program may use it, or it is no camera: see `v4l2-ctl --list-devices`"


def _csi(spec: str, timeout_s: float) -> Device:
    """Describe a Jetson's CSI camera: its pictures come from NVIDIA's GStreamer source only (ISP, nvargus-daemon)."""
    sensor, _, query = spec.removeprefix("csi:").partition("?")
    options = dict(CSI_DEFAULTS)
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key not in options or not re.fullmatch(r"[0-9]{1,5}", value):
            raise EdgehrError(f"{spec}: {key}={value} is not understood: give whole numbers for {', '.join(options)}")
        options[key] = int(value)
    if not re.fullmatch(r"[0-9]{1,2}", sensor):
        raise EdgehrError(f"{spec}: give a sensor's number, as in csi:0 or csi:0?width=1280&height=720&fps=30")
    _require(
        cv2.CAP_GSTREAMER,
        spec,
        "GStreamer",
        "use the board's own OpenCV in an environment made with `python3 -m venv --system-site-packages` and without "
        "pip's opencv-python (docs/jetson.md)",
    )
    pipeline = (
        f"nvarguscamerasrc sensor-id={sensor} ! video/x-raw(memory:NVMM), width={options['width']}, "
        f"height={options['height']}, framerate={options['fps']}/1 ! nvvidconv flip-method={options['flip']} ! "
        "video/x-raw, format=BGRx ! videoconvert ! video/x-raw, format=BGR ! "
        "appsink drop=true max-buffers=1 sync=false"
    )
    # Before 4.7, OpenCV's GStreamer refuses to open with timeouts at all.
    version = tuple(int(part) for part in re.findall(r"[0-9]+", cv2.__version__)[:2])
    parameters = _timeouts(timeout_s) if version >= (4, 7) else ()
    advice = (
        "is the camera connected, does the sensor have this mode, does nvargus-daemon run, and does `gst-inspect-1.0 "
        "nvarguscamerasrc` find NVIDIA's source?"
    )
    return Device(
        spec, pipeline, cv2.CAP_GSTREAMER, f"GStreamer with {pipeline}", lambda: advice, parameters, timeout_s
    )


def _stream(address: str, timeout_s: float) -> Device:
    name = hide_secrets(address)
    if address.partition("://")[0].lower() not in STREAMS:
        raise EdgehrError(f"{name}: unknown kind of stream: expected {', '.join(f'{s}://' for s in STREAMS)}")
    _require(cv2.CAP_FFMPEG, name, "FFmpeg", "use pip's opencv-python or your system's OpenCV")
    advice = "check the address, the login and the network"
    tried = f"FFmpeg for {timeout_s:g} s at most"
    return Device(name, address, cv2.CAP_FFMPEG, tried, lambda: advice, _timeouts(timeout_s), timeout_s)


def _timeouts(timeout_s: float) -> tuple[int, ...]:
    milliseconds = max(int(1000 * timeout_s), 1)
    return cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, milliseconds, cv2.CAP_PROP_READ_TIMEOUT_MSEC, milliseconds


def _require(backend: int, name: str, what: str, advice: str) -> None:
    if not cv2.videoio_registry.hasBackend(backend):
        where = Path(cv2.__file__).parent
        raise EdgehrError(f"{name}: this OpenCV ({cv2.__version__}, {where}) is built without {what}: {advice}")
