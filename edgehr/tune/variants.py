"""List what a search chooses among: networks, each converted to several formats and precisions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from edgehr.card import ModelCard
from edgehr.runtimes.tuned import RunConfiguration

FULL = "fp32"
CPU_TARGETS = ("onnx", "openvino", "tflite")
# Cheap ones first: what they tell spares the others.
STAGES = (("fp32",), ("fp16",), ("int8", "dynamic-int8"))


@dataclass(frozen=True)
class Model:
    """Names a network with its weights, at one input size.

    Attributes:
        card: The model, at that size.
        weights: Its checkpoint.
    """

    card: ModelCard
    weights: Path

    @property
    def size(self) -> str:
        """Write the input size, ``256x192``."""
        return f"{self.card.input.height}x{self.card.input.width}"


@dataclass(frozen=True)
class Variant:
    """Names a model in one format and precision.

    Attributes:
        model: The model.
        target: What it is converted to.
        precision: Of the conversion.
        arithmetic: What to compute in; None for what the artifact promises.
    """

    model: Model
    target: str
    precision: str
    arithmetic: str | None = None

    @property
    def name(self) -> str:
        """Name it in a line, without its model."""
        return f"{self.target} {self.precision}" + (f", {self.arithmetic} arithmetic" if self.arithmetic else "")

    @property
    def conversion(self) -> str:
        """Tell what kind of step its conversion is: ``quantize``, which takes minutes, or ``convert``."""
        return "quantize" if self.precision == "int8" else "convert"

    @property
    def full_precision(self) -> bool:
        """Tell whether it returns what the network does in float32, within rounding."""
        return self.precision == FULL and self.arithmetic is None


def variants_of(
    model: Model, targets: Iterable[str], precisions: Sequence[str], arithmetic: dict[str, tuple[str, ...]]
) -> list[Variant]:
    """List the variants of a model, in the order of `STAGES`.

    Args:
        model: The model.
        targets: What to convert to.
        precisions: Those that are wanted; float32 is always among them, as the others are measured against it.
        arithmetic: What a target's format can be asked to compute float32 files in, by target.
    """
    from edgehr.converters.target import TARGETS

    found = []
    for stage in STAGES:
        for target in targets:
            offered = TARGETS.get(target).precisions
            wanted = [each for each in stage if each in offered and (each in precisions or each == FULL)]
            found += [Variant(model, target, each) for each in wanted]
        if stage == (FULL,):
            found += [Variant(model, target, FULL, each) for target in targets for each in arithmetic.get(target, ())]
    return found


def configurations(variant: Variant, cores: int, at_once: int) -> list[RunConfiguration]:
    """List the ways to run a variant on a CPU: threads of one inference, and inferences side by side.

    Args:
        variant: What is run.
        cores: How many the machine has.
        at_once: How many images come together.
    """
    base = RunConfiguration(precision=variant.arithmetic)
    if variant.target == "tensorrt":
        return [base]  # on a GPU there are no threads to choose
    runs = [replace(base, threads=threads) for threads in _powers(cores)]
    if at_once == 1:  # what several images would need stays open
        return runs
    streams = [many for many in _powers(min(cores, at_once)) if many > 1]
    return [*(replace(run, streams=1) for run in runs), *(replace(runs[-1], streams=many) for many in streams)]


def _powers(most: int) -> list[int]:
    """List 1, 2, 4, ... and the largest number itself."""
    return sorted({most, *(1 << power for power in range(most.bit_length()) if 1 << power <= most)})


def default_targets() -> list[str]:
    """List what runs on any CPU, and TensorRT where that is installed."""
    return [*CPU_TARGETS, *(["tensorrt"] if find_spec("tensorrt") else [])]
