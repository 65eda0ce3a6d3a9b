"""The webcam demo as a static folder: a page that runs an artifact in any browser, with no server behind it."""

from edgehr.live.web_demo.folder import make_folder

__all__ = ["make_folder"]
