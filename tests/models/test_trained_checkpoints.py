"""Checkpoints as training leaves them: what is around the weights, what they are called, and what they are."""

from __future__ import annotations

import argparse
import collections
import logging
import pickle
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel

from edgehr.models.checkpoints.reading import read_checkpoint
from tests.models.little_pose import NAME, OFFICIAL, OTHER, STATE, Pose, assert_loads, assert_refused, prefixed


@pytest.fixture
def framework(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Classes that are importable while a file is written and fail the test if they are used to read it."""

    class HistoryBuffer:
        _statistics: dict[str, Any]

        def __init__(self) -> None:
            self._log_history = np.ones(3)
            self._count_history = np.ones(3, np.int64)
            self._statistics = {"min": HistoryBuffer.minimum}

        def __getstate__(self) -> dict[str, Any]:
            return {**self.__dict__, "statistics_methods": self._statistics}

        def minimum(self) -> float:
            return float(self._log_history.min())

        def __setstate__(self, state: object) -> None:
            pytest.fail("code of a checkpoint was run")

    class AttributeDict(dict):  # type: ignore[type-arg]
        def __setitem__(self, key: object, value: object) -> None:
            pytest.fail("code of a checkpoint was run")

    class Slotted:
        __slots__ = ("values",)

        def __init__(self) -> None:
            self.values = [1]

    module = types.ModuleType("training_framework")
    for kind in (HistoryBuffer, AttributeDict, Slotted):
        kind.__module__, kind.__qualname__ = module.__name__, kind.__name__
        setattr(module, kind.__name__, kind)
    HistoryBuffer.minimum.__module__ = module.__name__
    HistoryBuffer.minimum.__qualname__ = "HistoryBuffer.minimum"
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_objects_of_training_frameworks_are_stood_in_for(
    framework: Any, zipped: bool, protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(
        {
            "meta": {
                "mmengine_version": "0.10.7",
                "sigmas": np.array([0.1]),
                "path": Path("work_dirs"),
                "k": np.int64(3),
            },
            "state_dict": STATE,
            "message_hub": {"log_scalars": collections.OrderedDict(loss=framework.HistoryBuffer())},
            "hyper_parameters": framework.AttributeDict(lr=0.1, layers=[1]),
            "optimizer": {"state": {0: {"exp_avg": STATE[NAME]}}, "param_groups": collections.defaultdict(list, a=[1])},
            "param_schedulers": [{"milestones": collections.Counter([3])}, collections.deque([1], maxlen=3)],
            "args": argparse.Namespace(lr=0.1, kind=argparse.Namespace),
            "random": (np.random.default_rng(0), np.random.get_state(), torch.get_rng_state(), {1, 2}, frozenset({3})),  # noqa: NPY002
            "slots": framework.Slotted(),
            "loss": nn.CrossEntropyLoss(),
        },
        tmp_path / "epoch_210.pth",
        _use_new_zipfile_serialization=zipped,
        pickle_protocol=protocol,
    )
    monkeypatch.delitem(sys.modules, framework.__name__)
    checkpoint = read_checkpoint(tmp_path / "epoch_210.pth")
    assert checkpoint.others["message_hub.log_scalars.loss"] == "training_framework.HistoryBuffer"
    assert checkpoint.by_mmengine
    assert_loads(tmp_path / "epoch_210.pth")


def compiled() -> object:
    network = torch.compile(Pose(0))
    assert isinstance(network, nn.Module)
    return dict(network.state_dict())


def averaged() -> object:
    return dict(AveragedModel(Pose(0)).state_dict())


SHAPES: dict[str, Callable[[], object]] = {
    "Megatron": lambda: {"model": STATE, "args": argparse.Namespace(lr=0.1)},
    "any wrapper": lambda: {"step": 3, "the_weights": {"of_rank_0": STATE}},
    "beside training state": lambda: {**STATE, "epoch": 3, "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}}},
    "a tuple": lambda: (STATE, 12),
    "parts apart": lambda: {
        part: {key.removeprefix(f"{part}."): tensor for key, tensor in STATE.items() if key.startswith(part)}
        for part in ("backbone", "head")
    },
    "torch.compile": compiled,
    "torch.compile within": lambda: {key.replace("backbone.", "backbone._orig_mod."): t for key, t in STATE.items()},
    "DataParallel": lambda: prefixed("module."),
    "both, one way": lambda: prefixed("module._orig_mod."),
    "both, the other way": lambda: prefixed("_orig_mod.module."),
    "averaged": averaged,
    "averaged, in a wrapper": lambda: {"ema_state_dict": {"steps": torch.tensor(3), **prefixed("module.")}},
    "Lightning": lambda: {"state_dict": {**prefixed("net."), "loss.weight": torch.ones(17)}, "loops": {}},
    "Lightning, official names": lambda: {"state_dict": prefixed("model.hrnet.", OFFICIAL)},
    "mmrazor": lambda: {"state_dict": prefixed("architecture.")},
    "distilled": lambda: {"state_dict": {**prefixed("student."), "teacher.conv.weight": torch.ones(3)}},
    "any prefix": lambda: prefixed("a.b.c."),
    "NumPy": lambda: {"model": {key: tensor.numpy() for key, tensor in STATE.items()}},
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_wrappers_and_prefixes_are_found_by_what_fits(
    shape: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    torch.save(SHAPES[shape](), tmp_path / "a.ckpt")
    assert_loads(tmp_path / "a.ckpt")
    assert not caplog.records


@pytest.mark.parametrize("wrap", [lambda network: network, lambda network: {"epoch": 3, "model": network}])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_network_that_was_pickled_whole(zipped: bool, wrap: Callable[[nn.Module], object], tmp_path: Path) -> None:
    network = nn.DataParallel(Pose(0))
    network.module.backbone.register_buffer("unsaved", torch.ones(3), persistent=False)
    network.module.stride = torch.ones(3)  # an attribute, no buffer
    torch.save(wrap(network), tmp_path / "best.pt", _use_new_zipfile_serialization=zipped)
    assert_loads(tmp_path / "best.pt")


def test_a_graph_of_torch_fx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pose.forward, "__annotations__", {})  # torch.fx does not take them as text
    torch.save(torch.fx.symbolic_trace(Pose(0)), tmp_path / "a.pt")
    assert_loads(tmp_path / "a.pt")


def test_what_pickle_wrote(tmp_path: Path) -> None:
    with (tmp_path / "a.pkl").open("wb") as file:
        pickle.dump({"model": STATE, "args": argparse.Namespace(a=1)}, file)
    assert_loads(tmp_path / "a.pkl")


def test_safetensors_with_a_prefix_and_any_suffix(tmp_path: Path) -> None:
    save_file(prefixed("_orig_mod.module."), tmp_path / "a.pth")
    assert_loads(tmp_path / "a.pth")
    torch.save(STATE, tmp_path / "b.safetensors")
    assert_loads(tmp_path / "b.safetensors")


MMENGINE = {"meta": {"mmengine_version": "0.10.7"}}
TWICE: dict[str, tuple[object, str]] = {
    # MMEngine's EMAHook exchanges the two when it saves.
    "mmengine": ({**MMENGINE, "state_dict": STATE, "ema_state_dict": prefixed("module.", OTHER)}, "took state_dict,"),
    "timm": ({"state_dict": OTHER, "state_dict_ema": STATE}, "took state_dict_ema"),
    "torchvision": ({"model": OTHER, "model_ema": {"n_averaged": torch.ones(()), **prefixed("module.")}}, "model_ema"),
    "yolo": ({"model": Pose(1), "ema": Pose(0)}, "took ema"),
    "another": ({"state_dict": OTHER, "ema_state_dict": STATE}, "took ema_state_dict"),
    "lightning": ({"state_dict": prefixed("net."), "current_model_state": prefixed("net.", OTHER)}, "took state_dict"),
    "teacher": ({**prefixed("teacher.", OTHER), **prefixed("student.")}, "took student"),
    "mmcv": ({**{f"ema_{key.replace('.', '_')}": t for key, t in OTHER.items()}, **STATE}, "took the plain names"),
}  # fmt: skip


@pytest.mark.parametrize("case", TWICE)
def test_of_weights_that_are_there_twice_one_is_taken_and_named(
    case: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content, said = TWICE[case]
    torch.save(content, tmp_path / "a.pth")
    with caplog.at_level(logging.WARNING):
        assert_loads(tmp_path / "a.pth")
    (record,) = caplog.records
    assert said in record.message
    assert "a.pth" in record.message


def test_the_same_weights_by_two_names_need_no_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    torch.save({"state_dict": STATE, "model": dict(STATE)}, tmp_path / "a.pth")
    assert_loads(tmp_path / "a.pth")
    assert not caplog.records


READ: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "half": torch.Tensor.half,
    "bfloat16": torch.Tensor.bfloat16,
    "double": torch.Tensor.double,
    "float8": lambda tensor: tensor.to(torch.float8_e4m3fn),
    "sparse": torch.Tensor.to_sparse,
    "parameter": nn.Parameter,
    "quantized": lambda tensor: torch.quantize_per_tensor(tensor, 0.1, 3, torch.qint8),
    "by channel": lambda t: torch.quantize_per_channel(t, torch.full((8,), 0.1), torch.zeros(8), 0, torch.qint8),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", READ)
def test_kinds_of_tensors_whose_meaning_is_plain(kind: str, tmp_path: Path) -> None:
    given = READ[kind](STATE[NAME])
    expected = given.dequantize() if given.is_quantized else given.to_dense() if given.is_sparse else given.float()
    torch.save({"state_dict": {**STATE, NAME: given}}, tmp_path / "a.pth")
    assert_loads(tmp_path / "a.pth", {**STATE, NAME: expected.detach()})


class Quantized(torch.Tensor):
    """A tensor of another meaning than the values in it."""


REFUSED: dict[str, tuple[Callable[[torch.Tensor], object], str]] = {
    "meta": (lambda tensor: tensor.to("meta"), "has no values"),
    "complex": (lambda tensor: tensor.to(torch.complex64), "is complex64, not real numbers"),
    "int8": (torch.Tensor.char, "is int8, not real numbers"),
    "too large": (lambda tensor: tensor.double() * 1e300, "not finite"),
    "subclass": (lambda tensor: tensor.as_subclass(Quantized), r"no plain tensors but .*Quantized"),
    "uninitialized": (lambda _: nn.parameter.UninitializedParameter(), r"no plain tensors but .*Uninitialized"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_kinds_of_tensors_that_are_refused_by_name(kind: str, tmp_path: Path) -> None:
    make, said = REFUSED[kind]
    torch.save({"state_dict": {**STATE, NAME: make(STATE[NAME])}}, tmp_path / "a.pth")
    assert f"state_dict.{NAME}" in assert_refused(tmp_path / "a.pth", said)


def test_layers_that_the_network_lacks_are_never_left_out(tmp_path: Path) -> None:
    for number, content in enumerate(
        (
            {"state_dict": {**STATE, "neck.conv.weight": torch.ones(3)}},
            {**STATE, "neck": {"conv.weight": torch.ones(3)}},
        )
    ):
        torch.save(content, tmp_path / f"{number}.pth")
        assert "neck.conv.weight" in assert_refused(tmp_path / f"{number}.pth", "1 unexpected")
