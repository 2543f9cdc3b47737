"""The web UI: the runs of a pipeline root as pages, made on the server."""
