"""Load a served model from 1, 8 and 32 clients on this machine, beside the same model in this process.

Every client sends its next image when the last one's answer is there. Ways and numbers of clients take turns. What is
printed is the turn with most requests, which other programs disturbed least. What a request costs beside the inference
is measured with a graph that computes next to nothing and moves as many bytes. Needs the environment of
`make servers-env`. Servers and clients share the cores.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from edgehr.assets import packaged_model
from edgehr.benchmark.candidates import feed
from edgehr.benchmark.state import machine
from edgehr.converters.onnx.graph import embed
from edgehr.runtimes import load
from edgehr.runtimes.streams import usable_cores
from edgehr.runtimes.tensors import Tensors
from edgehr.serving.measure import Arrangement
from edgehr.serving.plan import plan
from edgehr.serving.repository import add
from edgehr.zoo import DEFAULT_MODEL
from tests.serving.servers import Server, kserve, triton

WAYS = {
    "Triton, gRPC, shared memory": ("triton", "grpc", "on"),
    "Triton, gRPC": ("triton", "grpc", "off"),
    "Triton, HTTP, shared memory": ("triton", "http", "on"),
    "Triton, HTTP": ("triton", "http", "off"),
    "KServe, gRPC": ("kserve", "grpc", "off"),
    "KServe, HTTP": ("kserve", "http", "off"),
}
SLOW = ("KServe, HTTP",)  # several requests at once take seconds each
HERE = "in this process"
KINDS = ("triton", "kserve")
MOST_REQUESTS = 100_000
Infer = Callable[[Tensors], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", default="1,8,32")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each turn")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--instances", type=int, default=usable_cores(), help="copies of the model, a thread each")
    args = parser.parse_args()
    clients = [int(count) for count in args.clients.split(",")]
    print(machine())
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        pose = packaged_model(DEFAULT_MODEL, ".onnx")
        files = {"pose": pose, "mover": _mover(folder, pose)}
        arrangement = Arrangement(args.instances, 1)
        print(f"{DEFAULT_MODEL}, ONNX Runtime, {args.instances} instances of one thread\n")
        servers = {kind: stack.enter_context(_server(kind, folder, files, arrangement)) for kind in KINDS}
        for model, path in files.items():
            turns = clients if model == "pose" else [1]
            _measure(model, path, servers, turns, args.instances, args.rounds, args.seconds)


def _mover(folder: Path, pose: Path) -> Path:
    """Write a graph of the same tensors as the pose model that copies numbers only."""
    with load(pose) as runtime:
        (taken,), (given,), artifact = runtime.inputs, runtime.outputs, runtime.require_artifact()
    count = int(np.prod(given.shape))  # type: ignore[arg-type] - of batch 1
    constants = {"flat": [-1], "first": [0], "last": [count], "shape": list(given.shape)}
    nodes = [
        helper.make_node("Reshape", [taken.name, "flat"], ["all"]),
        helper.make_node("Slice", ["all", "first", "last"], ["some"]),
        helper.make_node("Reshape", ["some", "shape"], [given.name]),
    ]
    graph = helper.make_graph(
        nodes,
        "mover",
        [helper.make_tensor_value_info(taken.name, TensorProto.FLOAT, taken.shape)],
        [helper.make_tensor_value_info(given.name, TensorProto.FLOAT, given.shape)],
        [helper.make_tensor(name, TensorProto.INT64, [len(each)], each) for name, each in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    embed(model, artifact)
    onnx.save(model, folder / "mover.onnx")
    return folder / "mover.onnx"


def _server(kind: str, folder: Path, files: dict[str, Path], arrangement: Arrangement) -> Any:
    where = folder / kind
    for name, path in files.items():
        add(where / "models", plan(path, kind, name, python=kind == "triton"), 1, arrangement)
    server: Server = (triton if kind == "triton" else kserve)(where / "models", where)
    return server.running()


def _measure(
    model: str, path: Path, servers: dict[str, Server], turns: list[int], instances: int, rounds: int, seconds: float
) -> None:
    """Time every way with every number of clients, in turns, and print."""
    with ExitStack() as stack:
        local = stack.enter_context(load(path))
        inputs = feed(local, {}).inputs
        ways: dict[str, Infer] = {HERE: _in_turn(local.open_streams(instances), instances)}
        for name, (server, scheme, shared) in WAYS.items():
            address = f"{servers[server].url(scheme, model)}?shared_memory={shared}"
            ways[name] = stack.enter_context(load(address)).infer
        cases = [(name, count) for count in turns for name in ways if count == 1 or name not in SLOW]
        found: dict[tuple[str, int], list[tuple[float, np.ndarray]]] = {case: [] for case in cases}
        order = np.random.default_rng(0)
        for _ in range(rounds):
            for place in order.permutation(len(cases)):
                case = cases[place]
                found[case].append(_turn(ways[case[0]], inputs, case[1], seconds))
    print(f"{model}: {rounds} turns of {seconds:g} s each, in random order")
    for count in turns:
        print(f"\n{count} clients" if count > 1 else "\n1 client")
        best = {name: max(found[name, count], key=lambda turn: turn[0]) for name, of in cases if of == count}
        for name, (rate, times) in best.items():
            median = statistics.median(each for each, _ in found[name, count])
            p50, p99 = np.percentile(times, (50, 99))
            ratio = rate / best[HERE][0]
            print(
                f"  {name:<28} {rate:8.1f} requests/s (x{ratio:.2f}), median of turns {median:8.1f}"
                f"   p50 {p50:8.2f} ms   p99 {p99:8.2f} ms"
            )
    print()


def _in_turn(infer: Infer, instances: int) -> Infer:
    """Let as many callers through at once as a server would."""
    room = threading.BoundedSemaphore(instances)

    def wait_and_infer(inputs: Tensors) -> object:
        with room:
            return infer(inputs)

    return wait_and_infer


def _turn(infer: Infer, inputs: Tensors, clients: int, seconds: float) -> tuple[float, np.ndarray]:
    """Let so many clients ask for some seconds; returns requests a second and their times in ms."""
    times: list[float] = []
    start = threading.Barrier(clients + 1)
    ends = [0.0]

    def client() -> None:
        infer(inputs)
        start.wait()
        while (before := time.perf_counter()) < ends[0] and len(times) < MOST_REQUESTS:
            infer(inputs)
            times.append(1000 * (time.perf_counter() - before))

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    ends[0] = float("inf")
    start.wait()
    started = time.perf_counter()
    ends[0] = started + seconds
    for thread in threads:
        thread.join()
    return len(times) / (time.perf_counter() - started), np.array(times)


if __name__ == "__main__":
    main()
