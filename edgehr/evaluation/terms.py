"""What figures are called in tables and plots."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Terms:
    """The field's words for what an evaluator measures, for tables and plots.

    Attributes:
        metric: The figure of accuracy that is quoted, in full.
        points: What `Metrics.accuracy` is called in short, as the unit of a drop.
        similarity: What the similarity of two models' results is called.
        similarity_meaning: A sentence that says what it is taken of.
        relative_meaning: A sentence that says what the metric is with a first model's results as the truth.
        sample: What has a similarity: a person, an object, an image.
        samples: Several of them.
        drawn: What pictures show of the results; empty where there are none.
    """

    metric: str = "Accuracy"
    points: str = "accuracy"
    similarity: str = "similarity"
    similarity_meaning: str = "Similarity of its results with the first's."
    relative_meaning: str = "The same, the truth being the first's results."
    sample: str = "image"
    samples: str = "images"
    drawn: str = ""
