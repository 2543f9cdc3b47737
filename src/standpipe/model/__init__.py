"""What the layers share: frozen descriptions and values, standard library only.

Everything that crosses a boundary between packages is defined here, and nothing
here does I/O.
"""
