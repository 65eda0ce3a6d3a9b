"""Addresses of models on servers: ``grpc://host:8001/model``, with a version and options."""

from __future__ import annotations

import ipaddress
import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from edgehr.errors import EdgehrError

TOKEN_VARIABLE = "EDGEHR_REMOTE_TOKEN"  # noqa: S105 - a name
# Whoever makes a `Path` of an address folds its slashes, as the command line does with every model.
_ADDRESS = re.compile(r"(grpcs?|https?):/{1,2}(?=[^/])", re.IGNORECASE)
_SHARED_MEMORY = ("auto", "on", "off")
_FORM = "grpc://HOST:PORT/MODEL[/VERSION], or grpcs://, http://, https://"


@dataclass(frozen=True)
class RemoteAddress:
    """Names a model on a server, and how to reach it.

    Attributes:
        scheme: ``grpc``, ``grpcs``, ``http`` or ``https``.
        host: Name or number, IPv6 without brackets.
        port: Where the server listens.
        model: Name of the model there.
        version: Of the model; empty for the one that the server chooses.
        base: Path in front of the protocol's own, as behind an ingress; HTTP only.
        card: File with the model's description, for servers that do not carry it.
        ca: File with the certificates to trust, PEM; None for the usual ones.
        token_file: File with the token to send; None for `EDGEHR_REMOTE_TOKEN`, if that is set.
        timeout: Seconds to wait for an answer.
        shared_memory: ``auto`` where the server is on this machine and takes it, ``on`` or ``off``.
    """

    scheme: str
    host: str
    port: int
    model: str
    version: str = ""
    base: str = ""
    card: Path | None = None
    ca: Path | None = None
    token_file: Path | None = None
    timeout: float = 30.0
    shared_memory: str = "auto"

    def __str__(self) -> str:
        version = f"/{self.version}" if self.version else ""
        base = f"{self.base}/" if self.base else ""
        return f"{self.scheme}://{self.where}/{base}{self.model}{version}"

    @property
    def where(self) -> str:
        """Return host and port."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_grpc(self) -> bool:
        """Tell gRPC from HTTP."""
        return self.scheme.startswith("grpc")

    @property
    def is_encrypted(self) -> bool:
        """Tell whether the connection uses TLS."""
        return self.scheme in ("grpcs", "https")

    @property
    def is_this_machine(self) -> bool:
        """Tell whether the server is on the loopback interface."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def token(self) -> str:
        """Read the token; empty where there is none.

        Raises:
            EdgehrError: Its file cannot be read, it is no token, or it would cross a network in the clear.
        """
        found = os.environ.get(TOKEN_VARIABLE, "")
        if self.token_file is not None:
            try:
                found = self.token_file.read_text(encoding="utf-8")
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) else "it is no text"
                raise EdgehrError(f"{self.token_file}: cannot read the token: {reason}") from None
        found = found.strip()
        if not found:
            return ""
        if not found.isascii() or not found.isprintable():
            raise EdgehrError(f"{self}: the token holds characters that no header may have")
        if not self.is_encrypted and not self.is_this_machine:
            secure = "grpcs" if self.is_grpc else "https"
            raise EdgehrError(f"{self}: a token is not sent over a network in the clear: use {secure}://")
        return found

    @classmethod
    def parse(cls, text: str | os.PathLike[str]) -> RemoteAddress:
        """Read an address, also one whose slashes `pathlib` has folded.

        Raises:
            EdgehrError: It is none, or has options that are not understood.
        """
        written = _ADDRESS.sub(lambda match: f"{match[1].lower()}://", _plain(text), count=1)
        parts = urlsplit(written)
        shown = written.split("?")[0].rsplit("@")[-1]
        if parts.username is not None:
            raise EdgehrError(f"{shown}: an address holds no login: set {TOKEN_VARIABLE}, or ?token_file=FILE")
        try:
            port = parts.port
        except ValueError:
            port = None
        scheme, names = parts.scheme, [unquote(name) for name in parts.path.split("/") if name]
        port = port or {"http": 80, "https": 443, "grpcs": 443}.get(scheme)
        version = names.pop() if len(names) > 1 and names[-1].isdecimal() else ""
        if not parts.hostname or port is None or not names or parts.fragment:
            raise EdgehrError(f"{shown}: is no address of a model: expected {_FORM}")
        *base, model = names
        if base and scheme.startswith("grpc"):
            raise EdgehrError(f"{shown}: gRPC knows no folders: expected {_FORM}")
        options = _options(shown, parts.query)
        return cls(scheme, parts.hostname, port, model, version, "/".join(base), **options)


def is_address(text: str | os.PathLike[str]) -> bool:
    """Tell whether a model is named by an address, not by a file."""
    return _ADDRESS.match(_plain(text)) is not None


def _plain(text: str | os.PathLike[str]) -> str:
    written = os.fspath(text)
    return written.replace(os.sep, "/") if os.sep != "/" else written


def _options(shown: str, query: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    try:
        pairs = parse_qsl(query.replace("+", "%2B"), keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise EdgehrError(f"{shown}: its options must be NAME=VALUE, with & between them") from None
    for name, value in pairs:
        if name in ("card", "ca", "token_file") and value:
            found[name] = Path(value)
        elif name == "timeout" and (seconds := _seconds(value)):
            found[name] = seconds
        elif name == "shared_memory" and value in _SHARED_MEMORY:
            found[name] = value
        else:
            known = "card, ca, token_file (files), timeout (seconds), shared_memory (auto, on, off)"
            raise EdgehrError(f"{shown}: the option {name!r} or its value is not understood: expected {known}")
    return found


def _seconds(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds > 0 else None
