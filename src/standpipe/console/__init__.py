"""What a person sees of a run. Observers are fed with facts and with the lines that tasks print; they steer nothing."""
