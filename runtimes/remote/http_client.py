"""The protocol over HTTP, by tritonclient's client for asyncio in a thread of its own.

Its other HTTP client serves one thread only, and so would need a connection, and an event loop, in each.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from typing import Any

from edgehr.errors import first_line
from edgehr.runtimes.remote.address import RemoteAddress
from edgehr.runtimes.remote.client import Client, tls_context
from edgehr.runtimes.remote.library import import_http

CONNECTIONS = 32


class HttpClient(Client):
    """Asks by HTTP; see `Client`."""

    def __init__(self, address: RemoteAddress) -> None:
        super().__init__(address, import_http())
        self._context = tls_context(address)
        self._model = {"model_name": address.model, "model_version": address.version}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="edgehr-remote", daemon=True)
        self._thread.start()
        self._client = self._wait(self._open())

    async def _open(self) -> Any:
        base = f"/{self.address.base}" if self.address.base else ""
        return self._library.InferenceServerClient(
            f"{self.address.where}{base}",
            conn_limit=CONNECTIONS,
            conn_timeout=self.address.timeout,
            ssl=self.address.is_encrypted,
            ssl_context=self._context,
        )

    def server(self) -> dict[str, Any]:
        """Return what the server says of itself."""
        found: dict[str, Any] = self._ask(self._client.get_server_metadata)
        return found

    def metadata(self) -> dict[str, Any]:
        """Return what the server says of the model."""
        found: dict[str, Any] = self._ask(self._client.get_model_metadata, **self._model)
        return found

    def configuration(self) -> dict[str, Any]:
        """Return the model's configuration."""
        found: dict[str, Any] = self._ask(self._client.get_model_config, **self._model)
        return found

    def start(self, inputs: Sequence[Any], outputs: Sequence[Any] | None, model: str = "") -> Future[Any]:
        """Start an inference."""
        named = {"model_name": model} if model else self._model
        call = self._answered(self._client.infer, **named, inputs=inputs, outputs=outputs)
        return asyncio.run_coroutine_threadsafe(call, self._loop)

    def infer(self, inputs: Sequence[Any], outputs: Sequence[Any] | None, model: str = "") -> Any:
        """Infer, and wait for it."""
        return self.start(inputs, outputs, model).result()

    def share(self, name: str, key: str, size: int) -> None:
        """Tell the server of a region."""
        self._ask(self._client.register_system_shared_memory, name=name, key=key, byte_size=size)

    def unshare(self, name: str) -> None:
        """Tell the server that a region goes."""
        self._ask(self._client.unregister_system_shared_memory, name=name)

    def close(self) -> None:
        """Close the connections and end the thread."""
        if self._loop.is_closed():
            return
        self._wait(self._client.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _ask(self, call: Callable[..., Coroutine[Any, Any, Any]], **arguments: Any) -> Any:
        return self._wait(self._answered(call, **arguments))

    def _wait(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    async def _answered(self, call: Callable[..., Coroutine[Any, Any, Any]], **arguments: Any) -> Any:
        """Wait for an answer; on a connection that the server had closed meanwhile, ask once more."""
        from aiohttp import (
            ClientConnectionError,
            ClientConnectorError,
            ClientOSError,
            ClientResponseError,
            ServerDisconnectedError,
        )

        def request() -> Coroutine[Any, Any, Any]:
            return call(**arguments, headers=self._headers.copy())  # which the library adds to

        try:
            try:
                return await request()
            except (ServerDisconnectedError, ClientOSError) as error:
                if isinstance(error, ClientConnectorError):
                    raise
                return await request()
        except asyncio.TimeoutError:
            raise self._too_late() from None
        except (ClientConnectionError, ClientResponseError) as error:
            cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
            raise self._no_answer(first_line(cause)) from None
        except Exception as error:  # of aiohttp, of tritonclient, of what reads JSON
            raise self._told(error) from None
