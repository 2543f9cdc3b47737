"""Modules that the components of `own_modules.py` import: a package like any other, which is not installed."""
