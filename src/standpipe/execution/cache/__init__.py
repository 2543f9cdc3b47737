"""Outputs of earlier attempts: keys, lookup, checksums of payloads."""
