"""What a run shows on the console. Observers receive facts and the lines that tasks print, and steer nothing."""
