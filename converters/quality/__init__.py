"""The conversion report: what quantisation gained and cost, in one table, a page with plots, and JSON."""
