"""The smallest useful program: the keypoints of everybody in a picture, a folder, a video, a camera or a stream.

python examples/smallest.py artifacts/MODEL.xml person.jpg     # or video.mp4, 0, rtsp://...
"""

import sys

import edgehr

if len(sys.argv) != 3:
    sys.exit(__doc__)
try:
    with edgehr.PoseEstimator(sys.argv[1]) as estimator:
        for poses in estimator.stream(sys.argv[2]):
            for identity, points, scores in zip(poses.ids, poses.keypoints, poses.scores, strict=True):
                person = f"person {identity}" if identity >= 0 else "a person"  # in single pictures nobody is followed
                print(f"{poses.frame.name}, {person}")
                for name, (x, y), score in zip(poses.names, points, scores, strict=True):
                    print(f"  {name:16} {x:7.1f} {y:7.1f}  {score:.2f}")
except edgehr.EdgehrError as error:
    sys.exit(f"smallest.py: {error}")
