"""What models are for: pre- and post-processing with NumPy and OpenCV only, one package a task.

Calibration, evaluation, applications and the demo all go through this code, so they cannot drift apart. `base.py` says
what a task is; `edgehr.registry.TASKS` has them by name.
"""
