"""`standpipe doctor`: checks of this machine, each with what to do about what does not work."""
