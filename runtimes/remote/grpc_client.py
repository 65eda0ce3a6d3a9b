"""The protocol over gRPC, by tritonclient's client, which several threads may use."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from edgehr.runtimes.remote.address import RemoteAddress
from edgehr.runtimes.remote.client import Client, tls_context
from edgehr.runtimes.remote.library import import_grpc

_UNLIMITED = -1
_MOST_MS = 2**31 - 1
# Triton asks for its own restrictions' keys with this in front.
_TRITON_HEADER = "triton-grpc-protocol-"
# A call on a connection that just ended is made once more; inference has no side effects. Where no server is, three
# tries end within a second.
_RETRIES = {
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 3,
                "initialBackoff": "0.1s",
                "maxBackoff": "0.5s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}
_CHANNEL = (
    ("grpc.max_send_message_length", _UNLIMITED),
    ("grpc.max_receive_message_length", _UNLIMITED),
    # A server that comes back is found at once.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.service_config", json.dumps(_RETRIES)),
)


class GrpcClient(Client):
    """Asks by gRPC; see `Client`."""

    def __init__(self, address: RemoteAddress) -> None:
        super().__init__(address, import_grpc())
        if self._headers:
            self._headers |= {f"{_TRITON_HEADER}{name}": value for name, value in self._headers.items()}
        tls_context(address)  # gRPC would not say what is wrong with a file of certificates
        # The option limits an attempt to connect, too: the name is that of another use.
        patience = ("grpc.min_reconnect_backoff_ms", min(round(1000 * address.timeout), _MOST_MS))
        self._client = self._library.InferenceServerClient(
            address.where,
            ssl=address.is_encrypted,
            root_certificates=str(address.ca) if address.ca else None,
            channel_args=[*_CHANNEL, patience],
        )
        self._call = {"headers": self._headers or None, "client_timeout": address.timeout}
        self._model = {"model_name": address.model, "model_version": address.version}

    def server(self) -> dict[str, Any]:
        """Return what the server says of itself."""
        found: dict[str, Any] = self._ask(self._client.get_server_metadata, as_json=True)
        return found

    def metadata(self) -> dict[str, Any]:
        """Return what the server says of the model; sizes as whole numbers."""
        found: dict[str, Any] = self._ask(self._client.get_model_metadata, **self._model, as_json=True)
        return found

    def configuration(self) -> dict[str, Any]:
        """Return the model's configuration."""
        found = self._ask(self._client.get_model_config, **self._model, as_json=True)
        config: dict[str, Any] = found.get("config", {})
        return config

    def start(self, inputs: Sequence[Any], outputs: Sequence[Any] | None, model: str = "") -> Future[Any]:
        """Start an inference by the client's own asynchronous call."""
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()

        def done(result: Any, error: Exception | None) -> None:
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(self._told(error))

        self._ask(self._client.async_infer, inputs=inputs, outputs=outputs, callback=done, **self._named(model))
        return future

    def infer(self, inputs: Sequence[Any], outputs: Sequence[Any] | None, model: str = "") -> Any:
        """Infer in this thread, which is faster than a call back from another one."""
        return self._ask(self._client.infer, inputs=inputs, outputs=outputs, **self._named(model))

    def share(self, name: str, key: str, size: int) -> None:
        """Tell the server of a region."""
        self._ask(self._client.register_system_shared_memory, name=name, key=key, byte_size=size)

    def unshare(self, name: str) -> None:
        """Tell the server that a region goes."""
        self._ask(self._client.unregister_system_shared_memory, name=name)

    def close(self) -> None:
        """Close the channel."""
        self._client.close()

    def _named(self, model: str) -> dict[str, str]:
        return {"model_name": model, "model_version": ""} if model else self._model

    def _ask(self, call: Callable[..., Any], **arguments: Any) -> Any:
        try:
            return call(**arguments, **self._call)
        except Exception as error:  # gRPC's errors have no base in common with tritonclient's
            raise self._told(error) from None
