"""Where frames and results go: image files, a video file, JSON lines, a window."""

from edgehr.live.sinks.base import Sink, StopRequested
from edgehr.live.sinks.opening import SinkGroup, open_sink, open_sinks

__all__ = ["Sink", "SinkGroup", "StopRequested", "open_sink", "open_sinks"]
