"""Addresses of the page: the listening socket, and what to type into a browser."""

from __future__ import annotations

import errno
import ipaddress
import socket
from urllib.parse import quote, urlsplit

from edgehr.errors import EdgehrError

LOOPBACK = "127.0.0.1"


def parse_address(text: str) -> tuple[str, int]:
    """Split ``PORT``, ``HOST:PORT`` or ``[IPV6]:PORT``; without a host it is this machine's loopback.

    Raises:
        EdgehrError: It is none of these.
    """
    host, _, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]") if ":" in host else host
    wrong = (":" in text and not host) or (":" in bare and bare == host)  # `:8080`, or IPv6 without its brackets
    if wrong or not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise EdgehrError(f"{text}: not an address to serve at: give PORT or HOST:PORT, such as 8080 or 0.0.0.0:8080")
    return bare or LOOPBACK, int(port)


def listen(host: str, port: int) -> socket.socket:
    """Open the listening socket; port 0 takes a free one.

    Raises:
        EdgehrError: The port is taken or not allowed, or the host is no address of this machine.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        dual = host == "::" and socket.has_dualstack_ipv6()
        return socket.create_server(address[:2], family=family, backlog=32, dualstack_ipv6=dual)
    except (OSError, UnicodeError) as error:
        raise EdgehrError(_explain(host, port, error)) from error


def is_loopback(bound: socket.socket) -> bool:
    """Tell whether only programs on this machine can connect to a socket."""
    return ipaddress.ip_address(bound.getsockname()[0]).is_loopback


def names_loopback(host_header: str) -> bool:
    """Tell whether a request's ``Host`` names this machine's loopback, at any port (an SSH tunnel may change it)."""
    try:
        name = urlsplit(f"//{host_header}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def page_url(host: str, bound: socket.socket, token: str | None) -> str:
    """Write what to open in a browser: of a socket on all interfaces, the address by which others find this machine."""
    address, port = bound.getsockname()[:2]
    if ipaddress.ip_address(address).is_unspecified:
        host = _outward_address()
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/" + (f"?token={quote(token, safe='')}" if token else "")


def _outward_address() -> str:
    """Find the address of the interface that leads out; the machine's name where none does."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))  # an address for documentation; connecting a UDP socket sends nothing
            return str(probe.getsockname()[0])
    except OSError:
        return socket.gethostname()


def _explain(host: str, port: int, error: Exception) -> str:
    code = getattr(error, "errno", None)
    if code == errno.EADDRINUSE:
        return f"port {port} of {host} is taken: choose another, or stop the program that serves there"
    if code in (errno.EACCES, errno.EPERM):
        return f"port {port} of {host} is not allowed to this user: choose one from 1024 up"
    return f"{host}: not an address of this machine ({error}): 127.0.0.1 serves it alone, 0.0.0.0 the whole network"
