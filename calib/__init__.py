"""Calibration: nothing here yet. The INT8 converters will take their sets, recipes and sensitivity from it."""
