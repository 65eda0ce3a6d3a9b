"""The model zoo: a card for each known model, and its weights."""

from edgehr.zoo.cards import DEFAULT_MODEL, all_cards, find_card, get_card, list_models
from edgehr.zoo.detectors import DEFAULT_DETECTOR
from edgehr.zoo.fetch import cached_path, download, fetch, find_weights, is_packaged, is_published
from edgehr.zoo.segmenters import DEFAULT_SEGMENTER

__all__ = [
    "DEFAULT_DETECTOR",
    "DEFAULT_MODEL",
    "DEFAULT_SEGMENTER",
    "all_cards",
    "cached_path",
    "download",
    "fetch",
    "find_card",
    "find_weights",
    "get_card",
    "is_packaged",
    "is_published",
    "list_models",
]
