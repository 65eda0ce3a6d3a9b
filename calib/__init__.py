"""Calibration: what the ranges of quantised activations are taken from."""
