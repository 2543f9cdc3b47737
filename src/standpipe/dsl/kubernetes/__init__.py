"""Settings of tasks for Kubernetes, with the names and meanings of kfp-kubernetes (2.17.3)."""
