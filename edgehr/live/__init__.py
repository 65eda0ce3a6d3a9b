"""Live streams: sources, predictors, the pipeline between them, drawing, sinks and a web page."""
