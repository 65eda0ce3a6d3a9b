"""Access to the page: by a token, and for no page of another site through a visitor's browser."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from edgehr.live.web.address import names_loopback

# Scripts, styles and connections of this server only; no inline script; in no frame of another page.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "edgehr",
}


@dataclass(frozen=True)
class Guard:
    """Checks requests by their headers.

    Attributes:
        token: What a request must know; None where none is needed.
        loopback: Whether only this machine can connect to the server. Then a request must call it by a name of the
            loopback: a page of another site could otherwise point its own name here and read the answers (DNS
            rebinding). Where others can, its names are not known, and the token protects: a browser gives it to no
            other name.
        cookie: Name of the cookie that holds the token; cookies are shared by the ports of a host, so it is the port's.
    """

    token: str | None
    loopback: bool
    cookie: str

    def refusal(self, headers: Mapping[str, str], given: str | None, cookie: str | None) -> tuple[int, str] | None:
        """Return the HTTP status and the reason where a request is refused.

        Args:
            headers: The request's.
            given: The ``token`` of its query.
            cookie: The cookie it brings.
        """
        host, origin = headers.get("Host", ""), headers.get("Origin")
        if self.loopback and not names_loopback(host):
            return 403, f"This server answers as localhost only, not as {host[:100]!r}."
        # Browsers let any page open a WebSocket to any host, and say whose page it is.
        if origin is not None and host_of(origin) != host.lower():
            return 403, "Pages of other sites get nothing from this server."
        if self.token is None or self.knows(given) or self.knows(cookie):
            return None
        if given is None and cookie is None:
            return 401, "This page needs its token: open the whole address that edgehr printed, with ?token=..."
        return 401, "This token is not, or no longer, valid: open the address that edgehr printed when it started."

    def knows(self, given: str | None) -> bool:
        """Compare with the token, in the same time for every wrong one."""
        expected, found = self.token or "", given or ""
        return hmac.compare_digest(expected.encode(), found.encode(errors="replace")) and bool(expected)


def host_of(url: str) -> str:
    """Return host and port of a URL, lower case; empty where it is none."""
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return ""
