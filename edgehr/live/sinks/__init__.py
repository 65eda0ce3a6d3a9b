"""Where frames and poses go: image files, a video file, JSON lines, a window."""

from edgehr.live.sinks.base import Sink, Stop
from edgehr.live.sinks.opening import AllSinks, open_sink, open_sinks

__all__ = ["AllSinks", "Sink", "Stop", "open_sink", "open_sinks"]
