"""The worker: the code that runs in a task's process or container.

It needs Python 3.9 or newer and the standard library, and imports nothing of Standpipe from outside of this folder: the
folder is mounted into images, and loaded there as `standpipe_worker` by `boot.py`. `standpipe.dsl` shares the artifact
classes and annotations.
"""
