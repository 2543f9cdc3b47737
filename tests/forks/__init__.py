"""Programs that fork, or start processes, while they run pipelines."""
