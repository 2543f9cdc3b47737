"""Runs in the formats of other programs, made from their records."""
