"""Opening the crew that a user asks for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from edgehr.spread.crews import Crew
from edgehr.spread.processes import OwnProcess, Processes


@contextmanager
def open_crew(jobs: int | None = None, ray: str | None = None, threads: int = 1) -> Iterator[Crew]:
    """Open the crew that a user asked for.

    Args:
        jobs: Workers at once; None for one here, and for as many as there are processors on a cluster.
        ray: The address of a Ray cluster, ``auto`` for that which this machine belongs to; None for this machine.
        threads: How many processors of a cluster a worker takes.

    Raises:
        MissingDependencyError: Ray is asked for and not installed.
        EdgehrError: There is no such cluster.
    """
    if ray is not None:
        from edgehr.spread.cluster import RayCrew

        crew: Crew = RayCrew(ray, jobs, threads)
    else:
        crew = OwnProcess() if jobs in (None, 1) else Processes(jobs or 1)
    try:
        yield crew
    finally:
        crew.close()
