"""Which operators of a graph a TFLite delegate leaves to the CPU, and why, from the published operator lists.

The lists are in files of their own; each names its source. A list is not the last word: a driver behind a delegate may
refuse more, and the notes of a report say where that is known.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgehr.errors import EdgehrError
from edgehr.runtimes.tflite.delegate_gpu import GPU
from edgehr.runtimes.tflite.delegate_xnnpack import XNNPACK
from edgehr.runtimes.tflite.graph import Graph, Operator
from edgehr.runtimes.tflite.rules import present

_LISTS = {"gpu": GPU, "xnnpack": XNNPACK}
DELEGATES = tuple(_LISTS)


@dataclass(frozen=True)
class Refusal:
    """An operator that stays on the CPU.

    Attributes:
        operator: Its name.
        output: The name of its first output.
        reason: Why, as a clause.
        macs: Its multiply-adds.
        supported: The delegate would take it, but takes too few parts of this graph to reach it.
    """

    operator: str
    output: str
    reason: str
    macs: int
    supported: bool = False


@dataclass(frozen=True)
class DelegateReport:
    """What a delegate would do with a graph.

    Attributes:
        delegate: Its name, one of `DELEGATES`.
        refused: Operators that stay on the CPU, in the order in which they run.
        macs: Multiply-adds of the graph.
        refused_macs: Those of the refused operators.
        operators: How many operators the graph has.
        partitions: Separate parts that the delegate runs. Data crosses between it and the CPU around each.
        source: Where the operator list is published.
        notes: What the list leaves open for this graph.
    """

    delegate: str
    refused: tuple[Refusal, ...]
    macs: int
    refused_macs: int
    operators: int
    partitions: int
    source: str
    notes: tuple[str, ...] = ()

    @property
    def refused_share(self) -> float:
        """Share of the multiply-adds that stays on the CPU, 0 to 1."""
        return self.refused_macs / self.macs if self.macs else 0.0


def check_delegate(graph: Graph, delegate: str) -> DelegateReport:
    """Hold a graph against a delegate's operator list.

    Args:
        graph: From `read_graph`.
        delegate: One of `DELEGATES`.

    Raises:
        EdgehrError: There is no such delegate.
    """
    if delegate not in _LISTS:
        raise EdgehrError(f"no operator list for the delegate {delegate!r}: expected one of {', '.join(DELEGATES)}")
    rules = _LISTS[delegate]
    reasons = [rules.refusal(operator) for operator in graph.operators]
    parts = partitions(graph, [not reason for reason in reasons])
    if rules.max_partitions and len(parts) > rules.max_partitions:
        parts = sorted(parts, key=len, reverse=True)[: rules.max_partitions]
    taken = {number for part in parts for number in part}
    refused = []
    for number, (operator, reason) in enumerate(zip(graph.operators, reasons, strict=True)):
        if reason or not (number in taken or _only_unpacks(operator)):
            output = operator.outputs[0].name if operator.outputs else ""
            refused.append(Refusal(operator.name, output, reason or rules.left_out, operator.macs, not reason))
    return DelegateReport(
        delegate=delegate,
        refused=tuple(refused),
        macs=graph.macs,
        refused_macs=sum(refusal.macs for refusal in refused),
        operators=len(graph.operators),
        partitions=len(parts),
        source=rules.source,
        notes=(*rules.notes, *_graph_notes(graph)),
    )


def partitions(graph: Graph, supported: list[bool]) -> list[list[int]]:
    """Find the parts of a graph that a delegate would run, as TFLite divides it.

    TFLite alternates between the delegate and the CPU and lets each run all that it can before the other's turn
    (`PartitionGraphIntoIndependentNodeSubsets` in `tflite/graph_info.cc`), so operators of one part need not follow
    each other in the file.

    Args:
        graph: The graph.
        supported: Which operators the delegate takes.

    Returns:
        Numbers of operators, by part, in the order in which the parts run. Operators that only unpack constants are in
        none: they run once, when the model is loaded.
    """
    made_by = {tensor.index: number for number, operator in enumerate(graph.operators) for tensor in operator.outputs}
    waits_for = [
        {made_by[tensor.index] for tensor in operator.inputs if tensor is not None and tensor.index in made_by}
        for operator in graph.operators
    ]
    done = {number for number, operator in enumerate(graph.operators) if _only_unpacks(operator)}
    left = [number for number in range(len(graph.operators)) if number not in done]
    parts = []
    while left:
        ready = next((number for number in left if waits_for[number] <= done), None)
        if ready is None:
            break  # damaged: a cycle
        turn, part, later = supported[ready], [], []
        # Operators are stored in an order in which they can run, so one pass finds all that this turn reaches.
        for number in left:
            if supported[number] is turn and waits_for[number] <= done:
                done.add(number)
                part.append(number)
            else:
                later.append(number)
        left = later
        if turn:
            parts.append(part)
    return parts


def _only_unpacks(operator: Operator) -> bool:
    return bool(operator.outputs) and all(tensor.unpacked for tensor in operator.outputs)


def _graph_notes(graph: Graph) -> list[str]:
    notes = []
    if graph.subgraphs > 1:
        notes.append(
            f"the file has {graph.subgraphs} subgraphs (control flow or signatures): only the first is counted"
        )
    if any(-1 in tensor.shape for operator in graph.operators for tensor in present(operator)):
        notes.append("dynamic dimensions count as 1 in the multiply-adds")
    return notes
