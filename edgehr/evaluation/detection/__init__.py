"""The evaluator of detectors: COCO AP of boxes and masks, and agreement by overlap."""
