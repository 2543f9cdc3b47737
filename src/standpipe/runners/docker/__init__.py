"""The runner of tasks in containers of a Docker engine."""
