"""The runner of tasks in processes of this machine."""
