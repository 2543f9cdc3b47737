"""The model: frozen values and ports that all packages share. Standard library only, and no I/O.

Everything that crosses a boundary between packages is defined here.
"""
