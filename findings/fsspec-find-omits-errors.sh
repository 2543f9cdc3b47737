#!/bin/sh
# fsspec 2026.9.0: `find` lists what is below a folder, and leaves out each folder whose listing failed, without an error:
# `walk` has `on_error="omit"` as its default. `find(..., on_error="raise")` raises for the first folder only, as `walk`
# does not pass `on_error` on to the folders in it. So a connection that is lost in between gives a part of the files.
# `exists` and `isdir` answer False then.
# Seen: with an implementation whose `ls` fails as that of FTP does when the server closes the connection. The
# documentation of `walk` names `on_error`; that of `find` says nothing of errors.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check fsspec==2026.9.0
"$folder/bin/python" - <<'PYTHON'
from fsspec import AbstractFileSystem


class Lost(AbstractFileSystem):
    def ls(self, path, detail=True, **options):
        if path == "data":
            entries = [("data/a", "file"), ("data/lost", "directory")]
            return [{"name": name, "size": 1, "type": kind} for name, kind in entries]
        raise ConnectionResetError("the server has closed the connection")


files = Lost()
for options in ({}, {"on_error": "raise"}):
    found = files.find("data", **options)
    print(f"find('data', {options}) ->", found)
    assert found == ["data/a"], "the behaviour has changed"
print("exists, isdir ->", files.exists("data/lost/b"), files.isdir("data/lost/b"))
assert not files.exists("data/lost/b") and not files.isdir("data/lost/b"), "the behaviour has changed"
PYTHON
