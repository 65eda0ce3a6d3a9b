"""`edgehr models`: list the known models."""

from __future__ import annotations

import argparse

from edgehr.cli.common.output import SubParsers, print_json, print_table


def register(commands: SubParsers) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("models", help="list the known models")
    parser.add_argument(
        "filter",
        nargs="*",
        help="show models that match all these words: body, wholebody, hand, animal, fashion, person (detectors), "
        "image (classifiers), or a part of a name, task, data set, architecture, decoding or origin of weights",
    )
    parser.add_argument("--json", action="store_true", help="print the models' full cards as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Print the models that match."""
    from edgehr.errors import EdgehrError
    from edgehr.zoo import list_models

    found = list_models(*args.filter)
    if not found:
        raise EdgehrError(f"no model matches {' '.join(args.filter)}: see them all with: edgehr models")
    if args.json:
        print_json([card.to_dict() for card in found])
        return
    print_table(
        ["NAME", "OF", "FINDS", "DECODING", "WEIGHTS", "PUBLISHED METRIC"],
        [
            [
                card.name,
                card.category,
                card.spec.finds,
                card.spec.decoding_name,
                card.weights.origin,
                card.weights.metric or "-",
            ]
            for card in found
        ],
    )
