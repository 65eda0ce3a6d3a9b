"""Run the benchmarks that need no data of their own, one after the other."""

import importlib

for name in ("import_time", "pose_task", "conversion", "latency", "deploy_form", "tflite", "live_pose"):
    importlib.import_module(f"benchmarks.{name}").main()
