"""Post-training quantization of pose networks to INT8, without training."""
