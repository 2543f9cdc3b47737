"""What several packages need: locks, fork hooks, redaction, paths."""
