"""`edgehr models`: list the known models."""

from __future__ import annotations

import argparse

from edgehr.cli.output import SubParsers, print_json, print_table


def register(commands: SubParsers) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("models", help="list the known models")
    parser.add_argument(
        "filter", nargs="*", help="show models whose name, data set or decoding contain all these words"
    )
    parser.add_argument("--json", action="store_true", help="print the models' full cards as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Print the models that match."""
    from edgehr.errors import EdgehrError
    from edgehr.zoo import all_cards

    words = [word.lower() for word in args.filter]
    found = []
    for card in all_cards():
        text = f"{card.name} {card.architecture} {card.dataset} {card.decoding.method} {card.weights.origin}".lower()
        if all(word in text for word in words):
            found.append(card)
    if args.json:
        print_json([card.to_dict() for card in found])
        return
    if not found:
        raise EdgehrError(f"no model matches {' '.join(args.filter)}: see them all with: edgehr models")
    print_table(
        ["NAME", "KEYPOINTS", "DECODING", "WEIGHTS", "PUBLISHED METRIC"],
        [
            [
                card.name,
                len(card.keypoints.names),
                card.decoding.method,
                card.weights.origin,
                card.weights.metric or "-",
            ]
            for card in found
        ],
    )
