"""A pipeline that is killed at random moments, and the program that runs it."""
