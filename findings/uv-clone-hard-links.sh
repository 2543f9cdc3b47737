#!/bin/sh
# uv 0.13.9 on Linux: `uv pip install --link-mode clone` (copy-on-write) makes hard links where the file system cannot
# clone, ext4 for instance, and says nothing. So a program that appends to a file of its environment changes it in uv's
# cache, and in every environment that has the package. The documentation of the option promises neither.
# Seen: more than one link, and the change in an environment that is made later. On btrfs and XFS there is one link.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/tools"
"$folder/tools/bin/python" -m pip install --quiet --disable-pip-version-check uv==0.13.9
uv="$folder/tools/bin/uv"
export UV_CACHE_DIR="$folder/cache" UV_NO_CONFIG=1

make() {
    "$uv" venv --quiet "$folder/$1"
    "$uv" pip install --quiet --python "$folder/$1/bin/python" --link-mode clone \
        ${PIP_INDEX_URL:+--index-url "$PIP_INDEX_URL"} six==1.17.0
}

make first
module=$(echo "$folder"/first/lib/python3*/site-packages/six.py)
cp "$module" "$folder/plain"
if cp --reflink=always "$module" "$folder/reflink" 2>/dev/null; then
    echo "this file system can clone: nothing to see here"
    exit 0
fi
echo "links to six.py: $(stat -c %h "$module")"
test "$(stat -c %h "$module")" -gt 1 || { echo "the behaviour has changed"; exit 1; }
echo "CHANGED = True" >> "$module"
make second
"$folder/second/bin/python" -c "import six; print('changed in the second environment:', six.CHANGED)" ||
    { echo "the behaviour has changed"; exit 1; }
