"""Compatibility with scripts for the KFP SDK: its module names, and conversion of its objects."""
