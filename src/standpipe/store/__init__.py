"""The run store and the cache, both in SQLite, and the locks of runs."""
