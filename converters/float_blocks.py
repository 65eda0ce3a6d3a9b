"""Blocks that stay in float so that INT8 loses no more than is allowed, for reports and tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgehr.calib.mixed_precision.search import BlockSensitivity, MixedPrecision

MIN_INT8_SHARE = 0.9  # share of the multiply-adds below which it is said that little is left in INT8
MIN_FLOAT_ACCURACY = 0.2  # of the float network: below it, a drop says little


@dataclass(frozen=True)
class FloatBlocks:
    """The result of `edgehr.calib.mixed_precision.search` in words and numbers.

    Attributes:
        summary: In one line.
        notes: What it was measured on, and what is to be known besides.
        rows: One for each block in float: its name, convolutions, what it loses when it alone is in INT8 (accuracy of
            100, and mean similarity), its share of the squared error of all blocks, of the multiply-adds, and bytes of
            weights that it adds.
        result: The figures of the whole network.
    """

    summary: str
    notes: list[str]
    rows: list[dict[str, Any]]
    result: dict[str, Any]

    @classmethod
    def of(cls, found: MixedPrecision) -> FloatBlocks:
        """Describe the result of a search."""
        blocks = found.float_blocks + found.int8_blocks
        error = sum(each.loss.error for each in blocks) or 1.0
        return cls(
            _summary(found), _notes(found), [_row(each, found, error) for each in found.float_blocks], _result(found)
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {"summary": self.summary, **self.result, "blocks": self.rows}


def _summary(found: MixedPrecision) -> str:
    if not found.float_blocks:
        return f"nothing more: INT8 loses {_drop(found)}, at most {found.max_drop:g} is allowed"
    blocks = "1 block" if len(found.float_blocks) == 1 else f"{len(found.float_blocks)} blocks"
    count = len(found.float_blocks) + len(found.int8_blocks)
    return f"{blocks} of {count}: INT8 loses {_drop(found)}, {100 * found.all_int8_loss.drop:.2f} with all in INT8"


def _drop(found: MixedPrecision) -> str:
    return f"{100 * found.loss.drop:.2f} points of {found.terms.points}"


def _notes(found: MixedPrecision) -> list[str]:
    share = found.int8_macs / found.macs
    terms, alike = found.terms, [1 - each.similarity for each in (found.all_int8_loss, found.loss)]
    notes = [
        f"drop measured on {found.evaluated_on}, {terms.points} against {found.truth}: "
        f"{100 * found.float_accuracy:.2f} in float, {100 * found.all_int8_loss.drop:.2f} less with all blocks in "
        f"INT8, {100 * found.loss.drop:.2f} less as written (allowed: {found.max_drop:g}); mean {terms.similarity} "
        f"with float {alike[0]:.3f} and {alike[1]:.3f}"
    ]
    if found.float_blocks:
        notes.append(
            f"weights take {found.weight_bytes / 1e6:.2f} MB, {found.all_int8_bytes / 1e6:.2f} MB with all blocks in "
            f"INT8; in float: {', '.join(each.block.name for each in found.float_blocks)}"
        )
    if found.float_accuracy < MIN_FLOAT_ACCURACY:
        notes.append(
            f"the float network itself gets few of these {found.terms.samples} right: a drop of its "
            f"{found.terms.points} says little"
        )
    if share < MIN_INT8_SHARE:
        notes.append(f"only {share:.1%} of the multiply-adds are left in INT8: it may be no faster than fp16")
    return notes


def _row(each: BlockSensitivity, found: MixedPrecision, error: float) -> dict[str, Any]:
    return {
        "block": each.block.name,
        "convolutions": len(each.block.convolutions),
        "drop_alone": 100 * each.loss.drop,
        "similarity_alone": each.loss.similarity,
        "error_share": each.loss.error / error,
        "macs_share": each.block.macs / found.macs,
        "bytes": 3 * each.block.weights,
    }


def _result(found: MixedPrecision) -> dict[str, Any]:
    return {
        "recipe": found.recipe.name,
        "max_drop": found.max_drop,
        "metric": found.terms.points,
        "similarity_name": found.terms.similarity,
        "evaluated_on": found.evaluated_on,
        "truth": found.truth,
        "float_accuracy": 100 * found.float_accuracy,
        "drop_all_int8": 100 * found.all_int8_loss.drop,
        "drop": 100 * found.loss.drop,
        "similarity_all_int8": 1 - found.all_int8_loss.similarity,
        "similarity": 1 - found.loss.similarity,
        "int8_share": found.int8_macs / found.macs,
        "always_float_share": 1 - (found.int8_macs + sum(each.block.macs for each in found.float_blocks)) / found.macs,
        "weight_bytes": found.weight_bytes,
        "weight_bytes_all_int8": found.all_int8_bytes,
    }
