"""The life of a run: options, launch, driver, resume, rerun and failure report."""
