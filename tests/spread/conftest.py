"""A Ray cluster on loopback."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import ROOT

# Not 127.0.0.1, in whose place Ray puts the machine's address in the network.
LOOPBACK = "127.0.0.2"
NODE = {"num_cpus": 1, "node_ip_address": LOOPBACK, "object_store_memory": 80_000_000}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A node of one processor; tests add others."""
    pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as folder:
        # Sockets lie in the folder, whose name must be short.
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_TMPDIR", folder)
        patch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)  # workers import what tests have for work
        from ray.cluster_utils import Cluster

        head = {**NODE, "include_dashboard": False}
        made = Cluster(initialize_head=True, connect=False, head_node_args=head)
        try:
            yield made
        finally:
            made.shutdown()
