"""Runs: put together from their parts, driven to their end, resumed and reported."""
