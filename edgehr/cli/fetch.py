"""`edgehr fetch`: download published weights into the cache."""

from __future__ import annotations

import argparse
from pathlib import Path

from edgehr.card import ModelCard
from edgehr.cli.common.output import SubParsers, print_json, progress_bar


def register(commands: SubParsers) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "fetch",
        help="download a model's published weights",
        description="Download weights into the cache ($EDGEHR_CACHE, else ~/.cache/edgehr), or finish a download.",
    )
    parser.add_argument("model", help="a name from `edgehr models`")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Download and print where the file is."""
    from edgehr.zoo import find_card

    card = find_card(args.model)
    path = fetch_with_progress(card)
    if args.json:
        print_json(
            {"model": card.name, "path": str(path), "sha256": card.weights.sha256, "origin": card.weights.origin}
        )
    else:
        checked = "SHA-256 checked" if card.weights.sha256 else "not checked: its publisher gives no hash"
        print(f"{path} ({card.weights.origin} weights, {checked})")


def fetch_with_progress(card: ModelCard) -> Path:
    """Download the weights of a card, unless they are here, with a progress bar."""
    from edgehr.zoo import fetch

    with progress_bar(card.weights.file, None, "bytes") as progress:
        return fetch(card, progress.update)
