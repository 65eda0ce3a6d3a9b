"""The errors edgehr raises on purpose. The command line prints them as one line; anything else is a bug."""

import re


class EdgehrError(Exception):
    """An expected failure: the message says what is wrong and what to do about it, in one line."""

    def __str__(self) -> str:
        return super().__str__().replace("\n", "\\n")  # of a file's name


class CheckpointError(EdgehrError):
    """A checkpoint cannot be read or does not fit the network."""


class ArtifactError(EdgehrError):
    """A converted model is damaged, foreign, or does not fit this machine."""


class MissingDependencyError(EdgehrError):
    """An optional package is not installed; the message names the extra that brings it."""


class TensorError(EdgehrError, ValueError):
    """An array has another name, shape or dtype than the model expects."""


def first_line(error: BaseException, most: int = 1000) -> str:
    """Return the first line of another library's message that says something, without the place in its source."""
    for line in str(error).splitlines():
        said = re.sub(r"^(ERROR|WARNING): \[[^\]]*\]", "", line.strip(" \t└")).strip(" :")
        if said:
            return said[:most]
    return type(error).__name__
