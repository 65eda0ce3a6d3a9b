"""Where frames come from: pictures, video files, cameras and streams."""

from edgehr.live.sources.base import Frame, Listener, Source
from edgehr.live.sources.opening import VIDEO_SUFFIXES, open_source

__all__ = ["VIDEO_SUFFIXES", "Frame", "Listener", "Source", "open_source"]
