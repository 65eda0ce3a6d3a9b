"""Measure models on the machine in front of you: in turns, with its state beside the figures, and ranked by a test."""
