"""What a server says of a model, and where the model's description comes from.

Triton hands out a model's configuration, whose parameters hold it. The protocol itself has no place for it, so that
edgehr's KServe server answers for it as a model of its own beside each model. For all others it is given as a file.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgehr.errors import ArtifactError, EdgehrError
from edgehr.runtimes.artifact import METADATA_KEY, Artifact
from edgehr.runtimes.remote.client import Client, ServerError, answered_version
from edgehr.runtimes.remote.library import import_utils
from edgehr.runtimes.tensors import TensorSpec

_LOG = logging.getLogger("edgehr.runtimes")

CONFIGURATION = "model_configuration"
ASKED, DESCRIBED = "nothing", "description"  # the input and the output of the model that answers for it


@dataclass(frozen=True)
class Description:
    """Says what a server tells of a model.

    Attributes:
        server: Its name and version.
        extensions: Of the protocol, by name.
        version: Of the model.
        inputs: What the model takes.
        outputs: What it returns.
        artifact: The model's description; None where nobody has it.
        max_batch: The largest batch; None for no limit.
    """

    server: str
    extensions: list[str]
    version: str
    inputs: list[TensorSpec]
    outputs: list[TensorSpec]
    artifact: Artifact | None
    max_batch: int | None


def describing_model(model: str) -> str:
    """Name the model that answers with the description of another one."""
    return f"{model}.{METADATA_KEY}"


def version_key(version: str) -> str:
    """Name the parameter that holds the description of a version; versions share one configuration."""
    return f"{METADATA_KEY}.{version}"


def read_description(client: Client) -> Description:
    """Ask a server for everything about a model.

    Raises:
        ArtifactError: The description is damaged, or of another model.
        EdgehrError: The server does not answer, or has no such model.
    """
    address = client.address
    server, model = client.server(), client.metadata()
    extensions = list(server.get("extensions", []))
    configuration = client.configuration() if CONFIGURATION in extensions else {}
    inputs, outputs = ([_spec(address, entry) for entry in model.get(kind, [])] for kind in ("inputs", "outputs"))
    if not inputs or not outputs:
        raise ArtifactError(f"{address}: the server does not say what the model takes and returns")
    versions = model.get("versions") or []
    version = address.version or (versions[0] if len(versions) == 1 else "")
    artifact, described = _artifact(client, configuration, version)
    if address.version and described and described != address.version:
        raise EdgehrError(f"{address}: the server serves version {described} of the model alone")
    version = version or described
    if artifact is not None and address.card is not None:
        _check_fits(address.card, artifact, inputs)
    name = " ".join(filter(None, (server.get("name"), server.get("version"))))
    return Description(
        name,
        extensions,
        version,
        inputs,
        outputs,
        artifact,
        int(configuration.get("max_batch_size") or 0) or None,
    )


def _spec(address: object, entry: Mapping[str, Any]) -> TensorSpec:
    dtype = import_utils().triton_to_np_dtype(entry["datatype"])
    if dtype is None or np.dtype(dtype).kind not in "fiub":
        raise ArtifactError(
            f"{address}: {entry['name']} is {entry['datatype']}, which edgehr neither feeds nor returns"
        )
    sizes = tuple(int(size) for size in entry.get("shape", []))
    return TensorSpec(entry["name"], tuple(None if size < 0 else size for size in sizes), np.dtype(dtype))


def _artifact(client: Client, configuration: Mapping[str, Any], version: str) -> tuple[Artifact | None, str]:
    """Find the description, and the version it is of, if that is told; raises ArtifactError where it is damaged."""
    if client.address.card is not None:
        return _read_card(client.address.card), ""
    if configuration:
        given = configuration.get("parameters", {})
        entry = given.get(version_key(version)) or given.get(METADATA_KEY) or {}
        text = entry.get("string_value", "")
        return (Artifact.from_json(text) if text else None), ""
    try:
        asked = client.input(ASKED, [1], "UINT8")  # a request by HTTP without any is not understood
        asked.set_data_from_numpy(np.zeros(1, np.uint8))
        result = client.infer([asked], None, describing_model(client.address.model))
        answer = result.as_numpy(DESCRIBED)
    except (ServerError, ValueError) as error:
        _LOG.debug("%s: nothing there describes it: %s", client.address, error)
        return None, ""
    if answer is None or not answer.size:
        return None, ""
    text = answer.flat[0]
    artifact = Artifact.from_json(text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text))
    return artifact, answered_version(result)


def _read_card(file: Path) -> Artifact:
    try:
        return Artifact.from_json(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ArtifactError(f"{file}: cannot read the model's description: {error.strerror}") from None
    except (ArtifactError, ValueError) as error:
        raise ArtifactError(f"{file}: {error} (`edgehr export-repository` writes edgehr.json)") from None


def _check_fits(file: Path, artifact: Artifact, inputs: Sequence[TensorSpec]) -> None:
    size = artifact.card.input.height, artifact.card.input.width
    wanted = (*size, 3) if artifact.card.layout == "nhwc" else (3, *size)
    shape = inputs[0].shape[1:]
    if len(shape) != len(wanted) or any(have not in (None, want) for have, want in zip(shape, wanted, strict=True)):
        raise ArtifactError(f"{file}: describes another model: {artifact.card.name} does not take {inputs[0]}")
