"""The command `standpipe`, one module for each of its commands."""
