"""tritonclient, NVIDIA's client for servers of the Open Inference Protocol.

Its gRPC and HTTP halves need packages of their own and take long to import, so that each is imported when it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from edgehr.dependencies import loading_native, unusable
from edgehr.errors import MissingDependencyError


def import_grpc() -> Any:
    """Import the gRPC client; raises MissingDependencyError where that does not work."""
    return _import("tritonclient.grpc")


def import_http() -> Any:
    """Import the HTTP client of asyncio; raises MissingDependencyError where that does not work."""
    return _import("tritonclient.http.aio")


def import_utils() -> Any:
    """Import the types and errors of both; raises MissingDependencyError where that does not work."""
    return _import("tritonclient.utils")


def import_shared_memory() -> Any:
    """Import what makes shared memory; raises MissingDependencyError where that does not work."""
    return _import("tritonclient.utils.shared_memory")


def _import(name: str) -> Any:
    try:
        with loading_native():
            return import_module(name)
    except Exception as error:  # its Python files may fail in any way
        cause = error if isinstance(error, ModuleNotFoundError) else error.__cause__ or error.__context__
        if isinstance(cause, ModuleNotFoundError) and cause.name != "tritonclient":
            raise MissingDependencyError(f"tritonclient lacks {cause.name}: pip install 'edgehr[remote]'") from error
        raise unusable("tritonclient", "tritonclient", "remote", error) from error
