"""Calibration: what the ranges of quantized activations are taken from."""
