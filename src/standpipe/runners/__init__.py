"""Where tasks run: each module has one implementation of `standpipe.model.ports.Runner`."""
