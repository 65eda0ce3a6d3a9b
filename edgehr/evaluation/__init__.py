"""Accuracy on annotated images, through the same tasks and runtimes that applications use: one file a metric."""
