"""A pose service: POST a picture, get the people in it as JSON.

    pip install fastapi uvicorn
    EDGEHR_MODEL=artifacts/MODEL.xml EDGEHR_DETECTOR=artifacts/YOLOX.xml python examples/fastapi_service.py
    curl --data-binary @person.jpg -H "Content-Type: image/jpeg" http://127.0.0.1:8000/poses

The interactive documentation is at /docs, the state at /health. Without EDGEHR_DETECTOR one person is found. A server
that runs `fastapi_service:app` (uvicorn with several workers, say) does as well; each process loads the model once.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager

# OpenCV reads this when it is imported: a few kilobytes of PNG can claim gigabytes of pixels.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(50_000_000))

import cv2
import numpy as np
import uvicorn
from fastapi import APIRouter, FastAPI, HTTPException, Request
from pydantic import BaseModel
from starlette.requests import ClientDisconnect

from edgehr import EdgehrError, PoseEstimator, Poses

KINDS = ("image/jpeg", "image/png")
MAX_BYTES = 10 * 2**20
WORKERS = 2  # pictures at work at the same time; each gets its share of the cores
MAX_PENDING = 16  # pictures that are received, wait or are at work; who comes then is told to try again
UPLOAD_S = 30.0
TOO_LARGE = HTTPException(413, f"the picture is larger than {MAX_BYTES} bytes")


class Keypoint(BaseModel):
    """Pixels of the picture, and the heatmap's maximum: about 0 (not seen) to 1 (certain)."""

    x: float
    y: float
    score: float


class Person(BaseModel):
    """A person in the picture; the box is x1, y1, x2, y2 in pixels, the keypoints are by name."""

    box: tuple[float, float, float, float]
    keypoints: dict[str, Keypoint]


class Answer(BaseModel):
    """Size of the picture, turned as its EXIF orientation says, and who is in it."""

    width: int
    height: int
    people: list[Person]


class Service:
    """A model, the threads that use it, and a limit to what waits for them.

    Args:
        estimator: May be called from several threads; stays the caller's to close.
    """

    def __init__(self, estimator: PoseEstimator) -> None:
        self.estimator = estimator
        self._threads = ThreadPoolExecutor(WORKERS, thread_name_prefix="pose")
        self._taken = 0

    async def answer(self, request: Request) -> Answer:
        """Receive a picture and estimate its poses beside the event loop, which meanwhile serves others."""
        with self._place():
            data = await receive(request)
            return await asyncio.get_running_loop().run_in_executor(self._threads, self._estimate, data)

    def _estimate(self, data: bytes) -> Answer:
        image = decode(data)
        names = self.estimator.keypoints.names
        return Answer(width=image.shape[1], height=image.shape[0], people=as_people(self.estimator(image), names))

    @contextmanager
    def _place(self) -> Iterator[None]:
        if self._taken >= MAX_PENDING:
            raise HTTPException(503, f"{MAX_PENDING} pictures are waiting already: try again", {"Retry-After": "1"})
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1

    def close(self) -> None:
        """Finish what is at work."""
        self._threads.shutdown()


async def receive(request: Request) -> bytes:
    """Read the body of a request, checked for kind and size before it fills the memory."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in KINDS:
        raise HTTPException(415, f"send {' or '.join(KINDS)} as the body, not {kind or 'a body without Content-Type'}")
    if int(request.headers.get("content-length", 0)) > MAX_BYTES:
        raise TOO_LARGE
    try:
        data = await asyncio.wait_for(_read(request), UPLOAD_S)
    except asyncio.TimeoutError:
        raise HTTPException(408, f"the picture did not arrive within {UPLOAD_S:g} s") from None
    except ClientDisconnect:
        raise HTTPException(400, "the connection was closed before the picture was complete") from None
    if not data:
        raise HTTPException(400, "the body is empty: send the bytes of a picture")
    return data


async def _read(request: Request) -> bytes:
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > MAX_BYTES:
            raise TOO_LARGE
    return bytes(data)


def decode(data: bytes) -> cv2.typing.MatLike:
    """Decode a JPEG or PNG into (H, W, 3) BGR."""
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        raise HTTPException(413, "the picture has too many pixels") from None
    if image is None:
        raise HTTPException(422, "the body is not a picture that can be decoded: damaged, or of another kind")
    return image


def as_people(poses: Poses, names: tuple[str, ...]) -> list[Person]:
    """Convert poses to the form of the answer, to a hundredth of a pixel."""
    people = []
    for box, points, scores in zip(poses.boxes.tolist(), poses.keypoints.tolist(), poses.scores.tolist(), strict=True):
        keypoints = {
            name: Keypoint(x=round(x, 2), y=round(y, 2), score=round(score, 4))
            for name, (x, y), score in zip(names, points, scores, strict=True)
        }
        people.append(Person(box=tuple(round(value, 2) for value in box), keypoints=keypoints))
    return people


router = APIRouter()
PICTURE = {"content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in KINDS}, "required": True}


@router.post("/poses", openapi_extra={"requestBody": PICTURE})
async def poses(request: Request) -> Answer:
    """Find people in the picture that is the body of the request."""
    service: Service = request.app.state.service
    return await service.answer(request)


@router.get("/health")
async def health(request: Request) -> dict[str, str]:
    """Say what is served; an answer at all says that the model is loaded and the event loop runs."""
    estimator = request.app.state.service.estimator
    runtime = estimator.runtime
    return {"status": "ok", "model": estimator.card.name, "runtime": f"{runtime.backend} {runtime.device}".strip()}


def open_estimator() -> PoseEstimator:
    """Load what the environment names; raises EdgehrError where that cannot be."""
    if not (model := os.environ.get("EDGEHR_MODEL")):
        raise EdgehrError("set EDGEHR_MODEL to a model that `edgehr convert` made")
    threads = max(1, (os.cpu_count() or 1) // WORKERS)
    return PoseEstimator(model, detector=os.environ.get("EDGEHR_DETECTOR") or None, threads=threads)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Load the model before the first request, and close it after the last."""
    with ExitStack() as stack:
        estimator = getattr(app.state, "estimator", None) or stack.enter_context(open_estimator())
        app.state.service = Service(estimator)
        stack.callback(app.state.service.close)
        yield


app = FastAPI(title="Poses", lifespan=lifespan)
app.include_router(router)


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description="Serve poses over HTTP. EDGEHR_MODEL names the model.")
    parser.add_argument("--host", default="127.0.0.1", help="for others, better a proxy with TLS and a login in front")
    parser.add_argument("--port", type=int, default=8000)
    args = parser.parse_args()
    try:
        # Opened here and not by `lifespan`, whose errors uvicorn prints with a traceback.
        with open_estimator() as app.state.estimator:
            uvicorn.run(app, host=args.host, port=args.port)
    except EdgehrError as error:
        sys.exit(f"fastapi_service.py: {error}")


if __name__ == "__main__":
    main()
