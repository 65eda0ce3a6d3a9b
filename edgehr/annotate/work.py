"""What a worker does with a piece of an archive."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from edgehr.annotate.forms import Form, Record, record
from edgehr.annotate.pieces import Mark, Piece, PieceSource, Range
from edgehr.live.predictors.opening import predictor
from edgehr.spread import Opened
from edgehr.spread.models import SentModel, check_there, runs_on


@dataclass(frozen=True)
class Done:
    """Holds what came of a piece.

    Attributes:
        records: What was found in each picture, in order.
        problems: What is wrong with pictures that were left out, by name.
        marks: See `Range`.
    """

    records: list[Record] = field(repr=False)
    problems: dict[str, str]
    marks: dict[int, Mark]


@dataclass(frozen=True)
class Annotation:
    """Runs a model on pieces of an archive, as the demo runs it on pictures: each frame by itself.

    Attributes:
        model: The model.
        detector: That which finds what it looks at; None for the predictor's own choice.
        form: What is kept of results.
        elsewhere: Whether workers may be on other machines: a file that is not there is then left to others.
        options: Further arguments of `edgehr.predictor`.
    """

    model: SentModel
    detector: SentModel | None
    form: Form
    options: Mapping[str, Any]
    elsewhere: bool = False

    @contextmanager
    def open(self) -> Iterator[Opened[Piece, Done]]:
        """Open the models."""
        with self.model.there() as name, (self.detector or SentModel("", {})).there() as detector:
            found: dict[str, Any] = {} if self.detector is None else {"detector": detector or None}
            with predictor(name, **found, **self.options) as opened:

                def do(piece: Piece) -> Done:
                    for path in piece.paths if self.elsewhere else ():
                        check_there(path)
                    source = PieceSource(piece)
                    video = piece.name if isinstance(piece, Range) else None
                    records = [record(frame, video, result, self.form) for frame, result in opened.results(source)]
                    return Done(records, source.problems, source.marks)

                yield Opened(do, runs_on(opened.runtime))
