"""TensorRT and TensorRT-RTX: building plans, checking them, running them. Nothing here needs PyTorch or onnx."""
