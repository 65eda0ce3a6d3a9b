"""From PyTorch, or a finished ONNX graph, to what devices run; compared with that before anything is written."""
