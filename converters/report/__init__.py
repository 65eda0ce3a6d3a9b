"""The conversion report: what quantization gained and cost, in one table, a page with plots, and JSON."""
