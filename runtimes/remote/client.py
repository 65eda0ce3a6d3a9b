"""What a remote model is asked by, whatever the protocol is carried in."""

from __future__ import annotations

import ssl
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from edgehr.errors import EdgehrError, first_line
from edgehr.runtimes.remote.address import TOKEN_VARIABLE, RemoteAddress
from edgehr.runtimes.remote.library import import_utils


class ServerError(EdgehrError):
    """The server answered that it cannot, or will not, do what it was asked; nothing is wrong with the connection."""


def answered_version(result: Any) -> str:
    """Return the version of the model that tritonclient's result is from; empty where the server does not tell."""
    response = result.get_response()
    return str((response.get("model_version") if isinstance(response, dict) else response.model_version) or "")


class Client(ABC):
    """Asks a server, from several threads. Methods raise EdgehrError; those that get an error as answer, ServerError.

    Args:
        address: Where the server is, and which model is meant.
        library: The half of tritonclient for this protocol, with `InferInput` and `InferRequestedOutput`.
    """

    def __init__(self, address: RemoteAddress, library: Any) -> None:
        self.address = address
        self._library = library
        self._error: type[Exception] = import_utils().InferenceServerException
        token = address.token()
        self._headers = {"authorization": f"Bearer {token}"} if token else {}

    def input(self, name: str, shape: Sequence[int], datatype: str) -> Any:
        """Describe an input; its data is set with what tritonclient's object offers."""
        return self._library.InferInput(name, list(shape), datatype)

    def output(self, name: str) -> Any:
        """Ask for an output, in binary form."""
        return self._library.InferRequestedOutput(name)

    @abstractmethod
    def server(self) -> dict[str, Any]:
        """Return `name`, `version` and `extensions` of the server."""

    @abstractmethod
    def metadata(self) -> dict[str, Any]:
        """Return `name`, `platform`, `versions`, `inputs` and `outputs` of the model."""

    @abstractmethod
    def configuration(self) -> dict[str, Any]:
        """Return the model's configuration, from a server with that extension."""

    @abstractmethod
    def start(self, inputs: Sequence[Any], outputs: Sequence[Any] | None, model: str = "") -> Future[Any]:
        """Start an inference of the model, or of another one there; the result is tritonclient's."""

    @abstractmethod
    def infer(self, inputs: Sequence[Any], outputs: Sequence[Any] | None, model: str = "") -> Any:
        """Do the same, and wait for it."""

    @abstractmethod
    def share(self, name: str, key: str, size: int) -> None:
        """Tell the server of a region of shared memory."""

    @abstractmethod
    def unshare(self, name: str) -> None:
        """Tell the server that a region goes."""

    @abstractmethod
    def close(self) -> None:
        """End the connection."""

    def _told(self, error: BaseException) -> EdgehrError:
        """Say in one line what went wrong."""
        if isinstance(error, EdgehrError):
            return error
        if not isinstance(error, self._error):
            return EdgehrError(f"{self.address}: {first_line(error)}")
        status = str(error.status() or "").removeprefix("StatusCode.")  # type: ignore[attr-defined]
        said = first_line(Exception(error.message() or status))  # type: ignore[attr-defined]
        if status == "UNAVAILABLE" and "restricted" not in said:
            return self._no_answer(said)
        if status == "DEADLINE_EXCEEDED":
            return self._too_late()
        if status in ("UNAUTHENTICATED", "PERMISSION_DENIED", "401", "403") or "restricted" in said:
            problem = "refuses the token" if self._headers else "wants a token"
            return ServerError(f"{self.address}: {problem}: {TOKEN_VARIABLE}, or ?token_file=FILE ({said})")
        if status == "RESOURCE_EXHAUSTED":
            return ServerError(f"{self.address}: the message is larger than the server or its memory allows ({said})")
        if "decoding the response" in said:
            problem = "the server's answer is none of the protocol: it failed, or takes no binary tensors by HTTP"
            return ServerError(f"{self.address}: {problem}: see its log, or try grpc:// ({said})")
        return ServerError(f"{self.address}: the server answers: {said}")

    def _no_answer(self, said: object) -> EdgehrError:
        """Say that there is no connection, and what may be the matter."""
        asked = ["is it running", "is this its port", f"does it speak {self.address.scheme}"]
        if self.address.is_encrypted:
            asked.append("is its certificate from somebody whom this machine or ?ca=FILE trusts")
        return EdgehrError(f"{self.address}: no server answers: {', '.join(asked[:-1])}, and {asked[-1]}? ({said})")

    def _too_late(self) -> EdgehrError:
        return EdgehrError(
            f"{self.address}: no answer in {self.address.timeout:g} s: ?timeout=SECONDS in the address allows more"
        )


def tls_context(address: RemoteAddress) -> ssl.SSLContext | None:
    """Make what checks a server's certificate; None for an address without TLS.

    Raises:
        EdgehrError: The file of certificates cannot be read.
    """
    if not address.is_encrypted:
        return None
    try:
        return ssl.create_default_context(cafile=str(address.ca) if address.ca else None)
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        raise EdgehrError(f"{address.ca}: cannot be read as certificates: {reason}") from None
