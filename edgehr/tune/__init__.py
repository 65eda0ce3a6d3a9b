"""Search for the fastest way to run a task on a machine that is accurate enough."""
