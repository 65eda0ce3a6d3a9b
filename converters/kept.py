"""What stayed in float so that INT8 loses no more than was allowed: for reports and tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgehr.calib.sensitivity import Choice, Measured

LEAST_INT8 = 0.9  # share of the multiply-adds below which it is said that little is left in INT8
TELLING_AP = 0.2  # of the float network: below it, a drop says little


@dataclass(frozen=True)
class Kept:
    """The result of `edgehr.calib.sensitivity.choose_float` in words and numbers.

    Attributes:
        summary: In one line.
        notes: What it was measured on, and what is to be known besides.
        rows: One for each block in float: its name, convolutions, what it loses when it alone is in INT8 (AP of 100 and
            mean OKS), its share of the squared error of all blocks, of the multiply-adds, and bytes of weights that it
            adds.
        result: The figures of the whole network.
    """

    summary: str
    notes: list[str]
    rows: list[dict[str, Any]]
    result: dict[str, Any]

    @classmethod
    def of(cls, choice: Choice) -> Kept:
        """Describe a choice."""
        blocks = choice.kept + choice.others
        error = sum(each.loss.error for each in blocks) or 1.0
        return cls(
            _summary(choice), _notes(choice), [_row(each, choice, error) for each in choice.kept], _result(choice)
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {"summary": self.summary, **self.result, "blocks": self.rows}


def _summary(choice: Choice) -> str:
    if not choice.kept:
        return f"nothing more: INT8 loses {_drop(choice)}, at most {choice.most:g} is allowed"
    blocks = "1 block" if len(choice.kept) == 1 else f"{len(choice.kept)} blocks"
    count = len(choice.kept) + len(choice.others)
    return f"{blocks} of {count}: INT8 loses {_drop(choice)}, {100 * choice.whole.ap:.2f} with all in INT8"


def _drop(choice: Choice) -> str:
    return f"{100 * choice.chosen.ap:.2f} AP"


def _notes(choice: Choice) -> list[str]:
    share, (before, after) = choice.int8_macs / choice.macs, choice.weight_bytes
    notes = [
        f"drop measured on {choice.people}, AP against {choice.truth}: {100 * choice.float_ap:.2f} in float, "
        f"{100 * choice.whole.ap:.2f} less with all blocks in INT8, {100 * choice.chosen.ap:.2f} less as written "
        f"(allowed: {choice.most:g}); mean OKS with float {1 - choice.whole.oks:.3f} and {1 - choice.chosen.oks:.3f}"
    ]
    if choice.kept:
        notes.append(
            f"weights take {after / 1e6:.2f} MB, {before / 1e6:.2f} MB with all blocks in INT8; in float: "
            + ", ".join(each.block.name for each in choice.kept)
        )
    if choice.float_ap < TELLING_AP:
        notes.append("the float network itself finds few of these people right: a drop of its AP says little")
    if share < LEAST_INT8:
        notes.append(f"only {share:.1%} of the multiply-adds are left in INT8: it may be no faster than fp16")
    return notes


def _row(each: Measured, choice: Choice, error: float) -> dict[str, Any]:
    return {
        "block": each.block.name,
        "convolutions": len(each.block.convolutions),
        "ap_alone": 100 * each.loss.ap,
        "oks_alone": each.loss.oks,
        "error_share": each.loss.error / error,
        "macs_share": each.block.macs / choice.macs,
        "bytes": 3 * each.block.weights,
    }


def _result(choice: Choice) -> dict[str, Any]:
    return {
        "recipe": choice.recipe.name,
        "max_drop": choice.most,
        "people": choice.people,
        "truth": choice.truth,
        "float_ap": 100 * choice.float_ap,
        "drop_all_int8": 100 * choice.whole.ap,
        "drop": 100 * choice.chosen.ap,
        "oks_all_int8": 1 - choice.whole.oks,
        "oks": 1 - choice.chosen.oks,
        "int8_share": choice.int8_macs / choice.macs,
        "always_float_share": 1 - (choice.int8_macs + sum(each.block.macs for each in choice.kept)) / choice.macs,
        "weight_bytes": choice.weight_bytes[1],
        "weight_bytes_all_int8": choice.weight_bytes[0],
    }
