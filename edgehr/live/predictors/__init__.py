"""Predictors: models opened for images and streams, one file for each task."""
