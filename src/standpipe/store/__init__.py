"""What Standpipe remembers of runs."""
