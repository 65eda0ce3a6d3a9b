"""Where frames come from: pictures, video files, cameras and streams."""

from edgehr.pose.sources.base import Frame, Listener, Source
from edgehr.pose.sources.opening import VIDEO_SUFFIXES, open_source

__all__ = ["VIDEO_SUFFIXES", "Frame", "Listener", "Source", "open_source"]
