"""A model's configuration for Triton, `config.pbtxt`."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np

from edgehr.runtimes.artifact import METADATA_KEY, Artifact
from edgehr.runtimes.remote.description import version_key
from edgehr.runtimes.tensors import TensorSpec
from edgehr.serving.measure import Arrangement
from edgehr.serving.plan import Servable

CONFIGURATION = "config.pbtxt"
# Images that a request may bring to a model without a limit, whether the server puts several together or not.
MOST = 8
# Served at once: clients that are at the last version go on with it until they are opened again.
VERSIONS = 2
_KINDS = {"float": "FP", "int": "INT", "uint": "UINT"}
# How the backends call the threads of one instance; edgehr's own reads them where it stands itself.
_THREADS = {"onnxruntime": "intra_op_thread_count", "openvino": "INFERENCE_NUM_THREADS"}


def configuration(
    served: Servable, arrangement: Arrangement, descriptions: Mapping[str, Artifact], *, gpu: bool = False
) -> str:
    """Write the configuration of a model, which all its versions share.

    Args:
        served: What it is.
        arrangement: How it is run.
        descriptions: What each version says of itself, the newest last.
        gpu: Instances run on a GPU.
    """
    largest = served.most or max(MOST, arrangement.batch) if served.batches else 0
    lines = [f"# {line}" for line in arrangement.measured or ("not measured",)]
    lines += [
        f"name: {_quoted(served.name)}",
        f"backend: {_quoted(served.backend)}",
        f"max_batch_size: {largest}",
        *(_tensor("input", spec, largest > 0) for spec in served.inputs),
        *(_tensor("output", spec, largest > 0) for spec in served.outputs),
        f"version_policy {{ latest {{ num_versions: {VERSIONS} }} }}",
        f"instance_group [ {{ kind: {'KIND_GPU' if gpu else 'KIND_CPU'} count: {arrangement.instances} }} ]",
    ]
    if served.batches and arrangement.batch > 1:
        # Without a delay: what had to wait anyway is put together, and nothing waits for that.
        lines.append(f"dynamic_batching {{ preferred_batch_size: [ {arrangement.batch} ] }}")
    parameters = {version_key(version): each.to_json() for version, each in descriptions.items()}
    parameters[METADATA_KEY] = list(descriptions.values())[-1].to_json()
    if arrangement.threads and not gpu and served.backend in _THREADS:
        parameters[_THREADS[served.backend]] = str(arrangement.threads)
    for key, value in parameters.items():
        lines.append(f"parameters {{ key: {_quoted(key)} value: {{ string_value: {_quoted(value)} }} }}")
    return "\n".join(lines) + "\n"


def _tensor(kind: str, spec: TensorSpec, batched: bool) -> str:
    shape = spec.shape[1:] if batched else spec.shape
    sizes = ", ".join("-1" if size is None else str(size) for size in shape)
    return f"{kind} [ {{ name: {_quoted(spec.name)} data_type: {_data_type(spec.dtype)} dims: [ {sizes} ] }} ]"


def _data_type(dtype: np.dtype[np.generic]) -> str:
    if dtype == np.bool_:
        return "TYPE_BOOL"
    return f"TYPE_{_KINDS[dtype.name.rstrip('0123456789')]}{8 * dtype.itemsize}"


def _quoted(text: str) -> str:
    """Quote a text for protobuf's text format, which reads the escapes of JSON."""
    return json.dumps(text)
