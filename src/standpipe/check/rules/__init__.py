"""The rules, one module for each theme. `check.registry` lists them."""
