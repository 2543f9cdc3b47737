"""Trackers: servers of others that show runs. They take the facts of a run, and never keep it from ending."""
