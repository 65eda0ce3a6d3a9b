"""Measurements behind the figures in docs/performance.md. Run them all with `make bench`, or one as a module."""
