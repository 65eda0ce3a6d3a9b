"""Targets: what models are converted to, with which options, and how.

A target is one class with a module of its own. It holds options and nothing else: what is built of a source, and what
is known after it was written, are results. A new one is such a module and a line in `TARGETS`, or a call of
`TARGETS.register`; the command line asks it for its options.

The modules of targets are imported to list those options, so they import what they work with where they use it.
"""

from __future__ import annotations

import argparse
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from edgehr.errors import EdgehrError
from edgehr.registry import Registry
from edgehr.runtimes.formats import FORMATS, Format, format_of

if TYPE_CHECKING:
    from edgehr.calib.dataset.calibration_set import CalibrationSet
    from edgehr.calib.mixed_precision.search import MaxDrop
    from edgehr.card import ModelCard
    from edgehr.converters.conversion_report import Progress
    from edgehr.converters.float_blocks import FloatBlocks
    from edgehr.converters.source import Source
    from edgehr.models import Network
    from edgehr.models.deploy.forms import Form
    from edgehr.runtimes import Artifact, Runtime
    from edgehr.runtimes.tensors import Tensors

T = TypeVar("T", bound="Target")


@dataclass(frozen=True)
class Built:
    """A model in memory, as a target builds it.

    Attributes:
        model: The model, in whatever form the target writes.
        nodes: Operators after each step, by its name.
        notes: What the user should know besides.
        recipe: Name of the recipe that it was quantized by; empty where it was not.
        float_blocks: What stays in float for a limited drop, where one was asked for.
    """

    model: Any
    nodes: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()
    recipe: str = ""
    float_blocks: FloatBlocks | None = None


@dataclass(frozen=True)
class Written:
    """An artifact on disk, as a target writes it.

    Attributes:
        precision: The precision of most weights, as read back from the file.
        open: Opens it, or failing that the very same graph, for comparison.
        opens: What that opens, in words, where the report is to say so.
        nodes: Operators in it, by what they are called in reports.
        notes: What the user should know besides.
    """

    precision: str
    open: Callable[[], Runtime]
    opens: str = ""
    nodes: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Target(ABC):
    """A kind of artifact with the options that it is made with.

    Attributes:
        name: As users name it.
        format: Name of the format that it writes; its own name where that is empty.
        tools: Packages whose versions its artifacts record, besides edgehr and what the source needs.
        packages: Modules that converting needs, besides those that every conversion does.
        extra: The extra of edgehr that brings them.
        precisions: Those it can be written in.
        needs_network: Whether it starts from the PyTorch network itself, not from its graph.
        takes_parts: Whether it writes models of several graphs.
        recipe_kind: Kind of its INT8 recipes, see `edgehr.calib.recipes`; empty where it has no INT8.

        precision: The wanted one, of `precisions`.
        batch: Images per inference; None for any number.
        plain: Keep the network as it was trained, not in the deploy form.
        native_io: Input and output in the artifact's precision, float16 or INT8, in place of float32.
        calibration: Real crops for ``int8``.
        max_drop: With ``int8``: keep blocks in float until no more is lost.
    """

    name: ClassVar[str] = ""
    format: ClassVar[str] = ""
    tools: ClassVar[tuple[str, ...]] = ()
    packages: ClassVar[tuple[str, ...]] = ()
    extra: ClassVar[str] = "convert"
    precisions: ClassVar[tuple[str, ...]] = ("fp32", "fp16")
    needs_network: ClassVar[bool] = True
    takes_parts: ClassVar[bool] = False
    recipe_kind: ClassVar[str] = ""

    precision: str = "fp32"
    batch: int | None = 1
    plain: bool = False
    native_io: bool = False
    calibration: CalibrationSet | None = None
    max_drop: MaxDrop | None = None

    @staticmethod
    def add_options(group: argparse._ActionsContainer) -> list[argparse.Action]:
        """Add the options that only this target has to `edgehr convert`, and return them; each is unset by default."""
        return []

    @classmethod
    def from_options(cls: type[T], args: argparse.Namespace, **own: Any) -> T:
        """Make a target from the options of `edgehr convert`, with values of its own for some attributes.

        Raises:
            EdgehrError: The options do not fit each other.
        """
        common = {name: getattr(args, name) for name in ("precision", "batch", "plain")}
        return cls(**{**common, "native_io": args.fp16_io, **own})

    @property
    def suffix(self) -> str:
        """Suffix of an artifact's main file."""
        return self._format.suffixes[0]

    @property
    def _format(self) -> Format:
        return FORMATS.get(self.format or self.name)

    def files(self, path: Path) -> list[Path]:
        """List all files of an artifact, the main one last: it is never new beside an old companion."""
        return self._format.files(path)[::-1]

    @property
    def variant(self) -> str:
        """Return what the default file name says of options that make another artifact."""
        return "-plain" if self.plain else ""

    def check(self) -> None:
        """Raise EdgehrError, before any work is done, for options that cannot be met."""
        if self.precision not in self.precisions:
            raise EdgehrError(
                f"unknown precision {self.precision!r} for {self.name}: expected one of {', '.join(self.precisions)}"
            )
        if self.batch is not None and self.batch < 1:
            raise EdgehrError(f"batch must be at least 1 or dynamic, got {self.batch}")
        if self.plain and self.precision == "int8":
            raise EdgehrError("int8 is quantized from the deploy form: leave --plain out, or use another precision")
        if self.precision == "int8" and self.calibration is None:
            raise EdgehrError(
                "int8 needs real images for the ranges of its activations: --calib with a folder of images, a COCO "
                "keypoint file or a video"
            )

    def check_model(self, card: ModelCard) -> None:
        """Refuse a model that it cannot make this of, before any work is done.

        Raises:
            EdgehrError: The model is published as a graph and what is asked for starts from a network, or there is no
                INT8 for its family.
        """
        from edgehr.calib.recipes import recipe_for
        from edgehr.converters.source import ONNX_ARCHITECTURES

        if card.architecture not in ONNX_ARCHITECTURES:
            if self.precision == "int8" and self.recipe_kind:
                recipe_for(card, self.recipe_kind)
            return
        if self.plain:
            raise EdgehrError(f"{card.name} comes as ONNX and is not rewritten: leave --plain out")
        if self.needs_network:
            raise EdgehrError(
                f"{card.name} comes as ONNX, without a PyTorch network, which {self.name} would start from"
            )
        if self.precision == "int8":
            raise EdgehrError(
                f"{card.name} comes as ONNX, without a PyTorch network, which int8 would start from: use --precision "
                "fp16"
            )

    def for_part(self: T) -> T:
        """Return the target that makes the further graphs of a model.

        In INT8 models they stay in float, in half the bytes: they are run on regions that no calibration set has.
        """
        if self.precision != "int8":
            return self
        return replace(self, precision="fp16", calibration=None, max_drop=None, native_io=False)

    def form(self) -> Form:
        """Return the form of a network that is fastest here in float; by default the smallest."""
        from edgehr.models.deploy.forms import Form

        return Form()

    def network(self, source: Source, progress: Progress, form: Form | None = None) -> Network:
        """Bring the network of a source into a form, by default this target's; plain ones stay as they are.

        Raises:
            EdgehrError: The source is no PyTorch network.
        """
        from edgehr.models.deploy.rewrite import deploy

        if self.plain:
            return source.network
        with progress.stage("deploy form") as stage:
            network, stage.detail = deploy(source.network, form or self.form())
        return network

    def described(self, card: ModelCard) -> ModelCard:
        """Return the card of a model, channels first, as it is true of the artifact."""
        return card

    @abstractmethod
    def build(self, source: Source, samples: Sequence[Tensors], progress: Progress) -> Built:
        """Make the model in memory.

        Args:
            source: What is converted.
            samples: Real inputs by name, (N, ...) each, channels first.
            progress: Gets the stages.

        Raises:
            EdgehrError: A step failed.
        """

    @abstractmethod
    def write(self, built: Built, artifact: Artifact, path: Path) -> Written:
        """Write what was built.

        Args:
            built: The model.
            artifact: What it says of itself.
            path: The main file; the files beside it are `files`.

        Raises:
            EdgehrError: It cannot be written in this format.
        """


TARGETS: Registry[type[Target]] = Registry(
    "target",
    {
        "onnx": "edgehr.converters.onnx.target:OnnxTarget",
        "openvino": "edgehr.converters.openvino.target:OpenVINOTarget",
        "tensorrt": "edgehr.converters.tensorrt.target:TensorRTTarget",
        "trt-bundle": "edgehr.converters.tensorrt.target:BundleTarget",
        "tflite": "edgehr.converters.tflite.target:TFLiteTarget",
    },
)


def make_target(target: str | Target, **options: Any) -> Target:
    """Make a target by its name, or give one other options; raises EdgehrError for an unknown name."""
    return TARGETS.get(target)(**options) if isinstance(target, str) else replace(target, **options)


def open_written(path: Path) -> Runtime:
    """Open an artifact that was just written, without the parts that belong to it."""
    return format_of(path).open(path)
