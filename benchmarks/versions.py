"""What Standpipe is compared with, and in which version."""

from __future__ import annotations

#: The KFP SDK; the Makefile installs the same version.
KFP = "2.17.3"

#: The environment with an S3 server and boto3, which the Makefile installs.
SERVERS = "servers-1"

#: The commit before this project shared imports and cores between tasks: "the commit before" in the table.
BASE = "d02244473c75ad1d7cf90d481011ae4ac9427983"

#: What tasks import. `torch` is the build that the configured index has: PIP_EXTRA_INDEX_URL can add the index that
#: PyTorch's installation guide names for CPU, whose build is the small one.
SCIENCE = ("numpy==2.4.6", "pandas==3.1.1", "scikit-learn==1.9.1")
TORCH = ("torch==2.13.0",)

#: The driver of Chromium, which is the one of this machine.
PLAYWRIGHT = "playwright==1.65.2"

#: The image of tasks in containers.
IMAGE = "python:3.11"
