"""Work in pieces, on this machine's processors or on a cluster: one list, one collector, whoever does the pieces."""

from edgehr.spread.collecting import Outcome, in_order, spread
from edgehr.spread.crews import Crew
from edgehr.spread.opening import open_crew
from edgehr.spread.processes import OwnProcess
from edgehr.spread.work import Opened, Reply, Work, attempt

__all__ = ["Crew", "Opened", "Outcome", "OwnProcess", "Reply", "Work", "attempt", "in_order", "open_crew", "spread"]
