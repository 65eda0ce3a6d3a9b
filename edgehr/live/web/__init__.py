"""A page in the browser that shows the live picture: for boards without a screen."""

from edgehr.live.web.address import parse_address
from edgehr.live.web.server import WebServer

__all__ = ["WebServer", "parse_address"]
