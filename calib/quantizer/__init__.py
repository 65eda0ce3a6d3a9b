"""Post-training quantization of convolutional networks to INT8, without training."""
