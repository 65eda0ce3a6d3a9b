"""A page in the browser that shows the live picture: for boards without a screen."""

from edgehr.pose.web.address import parse_address
from edgehr.pose.web.server import WebServer

__all__ = ["WebServer", "parse_address"]
