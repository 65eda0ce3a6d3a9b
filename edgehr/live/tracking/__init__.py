"""Tracking: ids and smoothed keypoints of people from frame to frame."""
