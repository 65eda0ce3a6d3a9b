"""A small result of every task."""

from __future__ import annotations

import numpy as np

from edgehr.tasks.classification.classification import Classification
from edgehr.tasks.detection.detections import Detections
from edgehr.tasks.detection.masks import Masks
from edgehr.tasks.landmarks.landmarks import Landmarks
from edgehr.tasks.pose.poses import Poses
from edgehr.tasks.pose.spec import KeypointSet
from edgehr.tasks.segmentation.segmentation import Segmentation

KEYPOINTS = KeypointSet(("nose", "tail"))
BOXES = np.array([[10, 20, 30, 60], [0, 0, 5, 5]], np.float32)
POINTS = np.array([[[11, 21], [12, 22]], [[1, 2], [3, 4]]], np.float32)
POINT_SCORES = np.array([[0.9, 0.1], [0.5, 0.25]], np.float32)
POSES = Poses(BOXES, POINTS, POINT_SCORES, np.array([7, -1]), KEYPOINTS)
LANDMARKS = Landmarks(BOXES[:1], POINTS[:1], POINT_SCORES[:1], keypoint_set=KEYPOINTS)
DETECTIONS = Detections(BOXES, np.array([0.9, 0.5], np.float32), np.array([2, 0]), classes=("person", "rabbit", "dog"))
FACES = Detections(BOXES[:1], np.array([0.9], np.float32), points=POINTS[:1])
MAP = np.array([[0, 1, 1, 1], [0, 1, 1, 1], [0, 0, 0, 3]], np.uint8)
MASKED = Detections(
    np.array([[1, 0, 4, 2], [3, 2, 4, 3]], np.float32),
    np.array([0.9, 0.5], np.float32),
    np.array([0, 1]),
    classes=("bear", "dog"),
    masks=Masks.of(np.stack([MAP == 1, MAP == 3])),
)
CLASSES = ("background", "person", "cat", "rabbit")
SEGMENTATION = Segmentation(MAP, CLASSES, ((0, 0, 0),) * 4)
CLASSIFICATION = Classification(np.array([0.1, 0.7, 0.2], np.float32), ("cat", "dog", "pig"), top=2)
ALL = (POSES, LANDMARKS, DETECTIONS, FACES, MASKED, SEGMENTATION, CLASSIFICATION)
