"""Post-training quantisation of pose networks to INT8, without training."""
