"""A pipeline that is killed at random times, and the program that runs it."""
