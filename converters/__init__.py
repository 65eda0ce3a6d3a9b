"""From PyTorch to what devices run: ONNX, OpenVINO; compared with PyTorch before anything is written."""
