"""The runner of tasks on a Ray cluster."""
