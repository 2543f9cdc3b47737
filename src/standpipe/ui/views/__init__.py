"""What the pages show, as frozen values: pure functions of the records of `history` and of Plans."""
