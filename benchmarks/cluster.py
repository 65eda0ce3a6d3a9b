"""Time an evaluation by one process, by several, and on a Ray cluster of this machine, one node of which is killed.

    python -m benchmarks.cluster --annotations person_keypoints.json --images DIR [--rounds 3]

All ways take turns, in a new order each round, and have to give the same figures. Times go from the order to the
figures, with the start of workers in them. The kill comes once half of the pieces are done.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgehr.assets import packaged_model
from edgehr.benchmark.state import UseMeter, machine
from edgehr.evaluation.base import Evaluator
from edgehr.evaluation.pieces import Prediction, evaluate_in_pieces, split
from edgehr.runtimes import Runtime, load
from edgehr.spread import open_crew
from edgehr.spread.models import SentModel
from edgehr.zoo import DEFAULT_MODEL

# Not 127.0.0.1, in whose place Ray puts the machine's address in the network.
NODE = {"num_cpus": 1, "node_ip_address": "127.0.0.2", "object_store_memory": 80_000_000}


def on_one_thread(name: str) -> Runtime:
    return load(name, threads=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--annotations", type=Path, required=True)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as folder:  # short: of sockets
        os.environ["RAY_TMPDIR"] = folder
        from ray.cluster_utils import Cluster

        cluster = Cluster(initialize_head=True, connect=False, head_node_args={**NODE, "include_dashboard": False})
        try:
            measure(cluster, args)
        finally:
            cluster.shutdown()


def measure(cluster: Any, args: argparse.Namespace) -> None:
    model = packaged_model(DEFAULT_MODEL)
    with on_one_thread(str(model)) as runtime:
        card = runtime.card
    evaluator = Evaluator.for_card(card)
    dataset = evaluator.read(args.annotations, args.images)
    found: list[Any] = []

    def run(jobs: int, ray: str | None, done: Callable[[int], None] | None = None) -> float:
        started = time.perf_counter()
        with open_crew(jobs, ray) as crew:
            work = Prediction(SentModel.of(str(model), crew), on_one_thread, card)
            found.append(evaluate_in_pieces(crew, work, evaluator, dataset, done))
        return time.perf_counter() - started

    def killed() -> float:
        pieces, done = len(split(dataset.images, 2)), [0]
        node = nodes.pop()

        def count(samples: int) -> None:
            done[0] += 1
            if done[0] == pieces // 2:
                cluster.remove_node(node, allow_graceful=False)

        seconds = run(2, cluster.address, count)
        nodes.append(cluster.add_node(**NODE))
        return seconds

    nodes = [cluster.add_node(**NODE)]
    ways: dict[str, Callable[[], float]] = {
        "this process": lambda: run(1, None),
        "2 processes": lambda: run(2, None),
        "Ray, 1 worker": lambda: run(1, cluster.address),
        "Ray, 2 workers": lambda: run(2, cluster.address),
        "Ray, 2 workers, one node killed": killed,
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    meter = UseMeter()
    for round_number in range(args.rounds):
        for name in random.Random(round_number).sample(list(ways), len(ways)):  # noqa: S311 - an order
            times[name].append(ways[name]())
            print(f"  {name}: {times[name][-1]:.1f} s", flush=True)
    assert all(each == found[0] for each in found)  # noqa: S101
    print(f"{machine()}; others kept {meter.read()} busy")
    first = statistics.median(times["this process"])
    for name, seconds in times.items():
        median = statistics.median(seconds)
        listed = ", ".join(f"{each:.1f}" for each in seconds)
        print(f"{name:<34} {median:6.1f} s  {median / first:5.2f}  ({listed})")
    print(f"the same figures {len(found)} times: {found[0].to_dict()}")


if __name__ == "__main__":
    main()
