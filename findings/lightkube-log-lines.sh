#!/bin/sh
# lightkube 1.0.1: `Client.log` ends lines at a carriage return and other characters that only `str.splitlines` takes for
# the end of a line, and replaces bytes that are not UTF-8. So a progress bar becomes many lines, and the log of a
# container cannot be had as it is.
# Seen: three lines where the container has printed two, and U+FFFD for the byte 0xff.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check lightkube==1.0.1
"$folder/bin/python" - <<'PYTHON'
import httpx2
from lightkube import Client, KubeConfig
from lightkube.config.models import Cluster, User

PRINTED = b"50%\r100%\n\xff\n"
config = KubeConfig.from_one(cluster=Cluster(server="http://cluster"), user=User())
transport = httpx2.MockTransport(lambda request: httpx2.Response(200, content=PRINTED))
lines = list(Client(config=config, transport=transport).log("pod", namespace="default"))
print(PRINTED, "became", lines)
assert lines == ["50%\n", "100%\n", "\ufffd\n"], "the behaviour has changed"
PYTHON
