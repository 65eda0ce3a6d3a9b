"""TFLite: LiteRT (`ai-edge-litert`) and, on old boards, `tflite-runtime`."""
