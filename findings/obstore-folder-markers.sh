#!/bin/sh
# obstore 0.12.1: a key that ends in `/` loses the slash. `put(store, "data/", b"")`, which is how other clients mark an
# empty folder, makes the object `data`, without a word; and `list` shows a marker `data/` that another client has made as
# the object `data`. So a file and a folder of one name cannot be told apart, and copying a listing to a file system
# fails, as `data` is to be a file and a folder. `list(prefix="a")` matches whole steps of keys only: neither `ab` nor the
# object `a` itself.
# Seen: with MemoryStore, as with S3. The documentation of `put` and `list` says nothing of slashes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check obstore==0.12.1
"$folder/bin/python" - <<'PYTHON'
import obstore
from obstore.store import MemoryStore

store = MemoryStore()
for key, content in {"a/data/": b"", "a/data/part": b"1", "ab": b"2", "a": b"3"}.items():
    obstore.put(store, key, content)
keys = sorted(each["path"] for each in obstore.list(store).collect())
below = sorted(each["path"] for each in obstore.list(store, prefix="a").collect())
print("put a/data/, a/data/part, ab, a; the store has", keys)
print("list(prefix='a') ->", below)
assert keys == ["a", "a/data", "a/data/part", "ab"], "the behaviour has changed"
assert below == ["a/data", "a/data/part"], "the behaviour has changed"
PYTHON
