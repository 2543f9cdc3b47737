"""The command `standpipe`: one module for each command."""
