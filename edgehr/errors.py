"""The errors edgehr raises on purpose. The command line prints them as one line; anything else is a bug."""


class EdgehrError(Exception):
    """An expected failure: the message says what is wrong and what to do about it."""


class CheckpointError(EdgehrError):
    """A checkpoint cannot be read or does not fit the network."""


class ArtifactError(EdgehrError):
    """A converted model is damaged, foreign, or does not fit this machine."""


class MissingDependencyError(EdgehrError):
    """An optional package is not installed; the message names the extra that brings it."""


class TensorError(EdgehrError, ValueError):
    """An array has another name, shape or dtype than the model expects."""
