"""The scheduler as a pure state machine: no I/O, no clock, no threads."""
