"""`edgehr models`: list the known models."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from edgehr.cli.output import SubParsers, print_json, print_table

if TYPE_CHECKING:
    from edgehr.card import ModelCard


def register(commands: SubParsers) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("models", help="list the known models")
    parser.add_argument(
        "filter",
        nargs="*",
        help="show models that match all these words: body, wholebody, hand, animal, fashion, person (detectors), or a "
        "part of a name, task, data set, architecture, decoding or origin of weights",
    )
    parser.add_argument("--json", action="store_true", help="print the models' full cards as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Print the models that match."""
    from edgehr.errors import EdgehrError
    from edgehr.zoo import all_cards

    categories = {card.category for card in all_cards()}
    words = [word.lower() for word in args.filter]
    found = []
    for card in all_cards():
        words_of = (card.name, card.task, card.architecture, card.dataset, _decoding(card), card.weights.origin)
        text = " ".join(words_of).lower()
        if all(word == card.category if word in categories else word in text for word in words):
            found.append(card)
    if not found:
        raise EdgehrError(f"no model matches {' '.join(args.filter)}: see them all with: edgehr models")
    if args.json:
        print_json([card.to_dict() for card in found])
        return
    print_table(
        ["NAME", "OF", "KEYPOINTS", "DECODING", "WEIGHTS", "PUBLISHED METRIC"],
        [
            [
                card.name,
                card.category,
                len(card.keypoints.names) or "-",
                _decoding(card),
                card.weights.origin,
                card.weights.metric or "-",
            ]
            for card in found
        ],
    )


def _decoding(card: ModelCard) -> str:
    return card.decoding.method if card.task == "pose" else "boxes"
