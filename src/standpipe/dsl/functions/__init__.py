"""Read Python functions: the `interface` that a signature declares, and the `source` that a component is shipped as."""
