"""Drawing results and text into images."""

from edgehr.live.drawing.label import draw_label
from edgehr.live.drawing.landmarks import draw_landmarks
from edgehr.live.drawing.poses import draw_poses

__all__ = ["draw_label", "draw_landmarks", "draw_poses"]
