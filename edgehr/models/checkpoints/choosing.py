"""Find the state dict that belongs to a network in a checkpoint, by what fits."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from edgehr.models.checkpoints.key_mappings import KEY_MAPPINGS, OPTIONAL_BIAS, WRAPPERS, KeyMapping
from edgehr.models.checkpoints.reading import Checkpoint

_LOG = logging.getLogger("edgehr.models")

# Only counts training steps; inference never reads it and files from before PyTorch 0.4.1 lack it.
_UNUSED = re.compile(r"(^|[._])num_batches_tracked$")
# What training saves beside weights in one dictionary with them.
_TRAINING = re.compile(
    r"(optim\w*|\w*scheduler\w*|scaler|amp\w*|meta|message_hub|loops|callbacks|hyper_parameters|\w*rng\w*|args|cfg|config"
    r"|epoch|iter\w*|\w*steps?|n_averaged)(\.|$)"
)
# A prefix that fewer of the keys have than one of so many that the network has leads to no state dict of it.
_LEAST_SHARE = 4
_AVERAGED = re.compile(r"(^|[._])(ema|swa|averaged?)([._]|$)")


@dataclass(frozen=True)
class Choice:
    """A part of a checkpoint, seen as a network's state dict.

    Attributes:
        prefix: What stands before its keys in the checkpoint.
        places: Where in the checkpoint the tensor of each name is.
        zeros: Names of biases that the checkpoint does not have because they are zero.
        fitting: How many names and shapes the network has too.
        unexpected: Places of tensors that the network has no use for.
        averages: Places of mmcv's other weights: see `choose`.
    """

    prefix: str
    places: dict[str, str]
    zeros: list[str]
    fitting: int
    unexpected: list[str]
    averages: list[str]


def wanted_tensors(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Leave out of a network's state dict what inference never reads."""
    return {name: tensor for name, tensor in state.items() if not _UNUSED.search(name)}


def choose(checkpoint: Checkpoint, wanted: Mapping[str, Tensor]) -> Choice:
    """Choose the part of a checkpoint that fits a network best.

    Any prefix will do, with the names of any code base in `KEY_MAPPINGS`. Of several parts that fit alike, as plain and
    averaged weights do, one is taken and a warning says which:

    - of MMEngine's files `state_dict`, into which it moves the averaged weights when it saves;
    - else those named `ema`, `swa` or `averaged`;
    - a student before its teacher;
    - the first in the file.

    mmcv keeps the weights that were not averaged as `ema_*` when it saves; they are left out, with a warning.
    """
    choices: list[Choice] = []
    whole: list[Choice] = []
    used: set[str] = set()
    for prefix in _prefixes(checkpoint.tensors, len(wanted)):
        if any(place in used for place in checkpoint.tensors if place.startswith(prefix)):
            continue  # inside of what has been found
        for mapping in KEY_MAPPINGS:
            choices.append(_see(checkpoint.tensors, prefix, mapping, wanted))
            if choices[-1].fitting == len(wanted) and not choices[-1].unexpected:
                whole.append(choices[-1])
                used.update(choices[-1].places.values())
                break
    if not whole:
        return max(choices, key=lambda each: (each.fitting, len(each.places) - len(each.unexpected), -len(each.prefix)))
    chosen, *others = sorted(whole, key=lambda each: _rank(each.prefix, by_mmengine=checkpoint.by_mmengine))
    if any(not _same(checkpoint, chosen, each) for each in others):
        found = " and ".join(_title(each) for each in whole)
        why = ", into which MMEngine moves averaged weights" if checkpoint.by_mmengine else ""
        _warn(f"{checkpoint.path}: holds weights that fit the network in {found}: took {_title(chosen)}{why}")
    if chosen.averages:
        _warn(f"{checkpoint.path}: holds weights twice: took the plain names, not {chosen.averages[0]} and the like")
    _LOG.info(
        "%s: took %s, %d tensors of %d", checkpoint.path, _title(chosen), len(chosen.places), len(checkpoint.tensors)
    )
    return chosen


def _prefixes(places: Mapping[str, Tensor], wanted: int) -> list[str]:
    """List what may stand before the names of a network, in the file's order, nothing first."""
    counts: Counter[str] = Counter()
    for place in places:
        parts = place.split(".")
        counts.update(".".join(parts[:end]) + "." for end in range(1, len(parts)))
    return [
        "",
        *(prefix for prefix, count in counts.items() if count * _LEAST_SHARE >= wanted or prefix.count(".") == 1),
    ]


def _see(tensors: Mapping[str, Tensor], prefix: str, mapping: KeyMapping, wanted: Mapping[str, Tensor]) -> Choice:
    places: dict[str, str] = {}
    for place in tensors:
        if place.startswith(prefix) and not _UNUSED.search(place):
            key = place[len(prefix) :]
            name = mapping.rename(WRAPPERS.sub("", key))
            places[key if name in places else name] = place
    zeros = _implied_zeros(places, wanted)
    fitting = len(zeros) + sum(
        name in places and tensors[places[name]].shape == tensor.shape for name, tensor in wanted.items()
    )
    extra = [name for name in places if name not in wanted and not _TRAINING.match(places[name][len(prefix) :])]
    flat = {f"ema_{name.replace('.', '_')}" for name in places}
    averages = [places[name] for name in extra if places[name][len(prefix) :] in flat]
    unexpected = [places[name] for name in extra if places[name] not in averages]
    return Choice(
        prefix, {name: places[name] for name in wanted if name in places}, zeros, fitting, unexpected, averages
    )


def _implied_zeros(places: Mapping[str, str], wanted: Mapping[str, Tensor]) -> list[str]:
    missing = [name for name in wanted if name not in places and OPTIONAL_BIAS.match(name)]
    return [name for name in missing if name.removesuffix("bias") + "weight" in places]


def _rank(prefix: str, *, by_mmengine: bool) -> tuple[bool, bool, bool]:
    path = prefix.lower()
    return (
        by_mmengine and not path.startswith("state_dict."),
        _AVERAGED.search(path) is None,
        "teacher" in path,
    )


def _same(checkpoint: Checkpoint, one: Choice, other: Choice) -> bool:
    return all(checkpoint.tensors[one.places[name]] is checkpoint.tensors[other.places[name]] for name in one.places)


def _title(choice: Choice) -> str:
    return choice.prefix.removesuffix(".") or "the plain names"


def _warn(message: str) -> None:
    _LOG.warning("%s", message)
