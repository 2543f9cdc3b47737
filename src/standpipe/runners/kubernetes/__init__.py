"""The runner of tasks in pods of a Kubernetes cluster."""
