"""Which form of a network each target gets: chosen by measurement (docs/performance.md), in one table."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edgehr.models.deploy.channel_layout import Layout, Stream


@dataclass(frozen=True)
class Form:
    """How Lite-HRNet is written down for inference. Every form computes the same function.

    Attributes:
        late_weights: The weights of whole channels, which a block of conditional channel weighting takes from their
            averages, are multiplied into the gates of the next block, where tensors are small; those of all branches
            come from one pair of convolutions.
        separate_gates: One convolution a branch makes its gates, in place of one whose result is cut.
        multiple: Tensors get channels of zeros up to a multiple of this, for kernels that take channels in blocks.
        pool_by_conv: Averages of cells are depthwise convolutions.
        broadcast: What is smaller is multiplied with or added to what is larger by broadcasting over cells, channels
            last, and not resized first.
        joined_stem: One convolution of the stem makes what both its branches read, see
            `edgehr.models.deploy.lite_hrnet.DeployStem`.
        split: What shuffle blocks take apart is split, and not sliced.
        turn_output: The heatmaps are turned from channels last to channels first by an operator of its own.
    """

    late_weights: bool = False
    separate_gates: bool = False
    multiple: int = 1
    pool_by_conv: bool = False
    broadcast: bool = False
    split: bool = False
    turn_output: bool = False
    joined_stem: bool = False

    def stream(self, layout: Layout, scale: float = 1.0) -> Stream:
        """A tensor of these channels, and of zeros behind them."""
        return Stream(layout, scale, -len(layout) % self.multiple)

    def for_shuffle_units(self) -> Form:
        """What of it pays for the naive networks, whose blocks cut tensors where halves end and have no gates."""
        return replace(self, multiple=1, broadcast=False, joined_stem=False)


# The smallest: no shuffles and nothing else.
SHUFFLE_FREE = Form()

# ONNX Runtime's CPU kernels take 16 channels in a block, and only if everything around is in blocks too. OpenVINO
# stores channels last. TensorRT's parser makes twenty layers of a slice,
# and its engines grow with the weights, zeros included.
FORMS: dict[str, Form] = {
    "onnx": Form(late_weights=True, separate_gates=True, multiple=16),
    "openvino": Form(late_weights=True, separate_gates=True, pool_by_conv=True, broadcast=True, turn_output=True),
    "tensorrt": Form(split=True),
    "trt-bundle": Form(split=True),
    "tflite": SHUFFLE_FREE,
}
