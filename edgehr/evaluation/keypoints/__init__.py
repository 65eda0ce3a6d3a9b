"""The evaluator of pose models: COCO keypoint AP, agreement by OKS, and pictures of both."""
