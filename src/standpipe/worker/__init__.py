"""What runs in a task's process or container.

Standard library only, Python 3.9 or newer, and nothing of ours from outside of this folder: it is mounted into images,
and loaded there as `standpipe_worker` by `boot.py`. Authors' `dsl` uses the same artifact classes and annotations.
"""
