"""Counts the words of a text in containers of three images: a shell script, a Python function, and a program.

    standpipe run examples/containers.py:word_report --runner docker --arg document=LICENSE

It needs a Docker engine, or Podman by way of DOCKER_HOST, and pulls `alpine`, `python` and `busybox`. It shows
container components, which run a command of any image, beside a Python component with an image of its own, and how
files pass between them.
"""

from pathlib import Path

from standpipe import dsl, local
from standpipe.dsl import HTML, Artifact, Dataset, Input, Output

# In `sh -c SCRIPT a b`, a is $0 and b is $1. The paths are arguments, and never part of the script: a path with a space
# or a quote in it cannot change what the script does.
COUNT = """
mkdir -p "$(dirname "$1")"
tr -cs 'A-Za-z' '\\n' < "$0" | tr 'A-Z' 'a-z' | grep -E '.{4,}' | sort | uniq -c | sort -k1,1nr -k2 |
    awk '{ print $2 "," $1 }' > "$1"
echo "$(wc -l < "$1") different words"
"""


@dsl.container_component
def count(text: Input[Artifact], counts: Output[Dataset]):
    """Count the words of four letters or more: the tools of a shell are enough, and the image is small."""
    return dsl.ContainerSpec(image="alpine:3.22", command=["sh", "-euc", COUNT], args=[text.path, counts.path])


@dsl.component(base_image="python:3.12-slim")
def draw(counts: Input[Dataset], top: int, page: Output[HTML]) -> int:
    """Write a page with a bar for each of the most frequent words, and return the number of all words."""
    import csv

    with open(counts.path, newline="") as file:
        words = [(word, int(number)) for word, number in csv.reader(file)]
    most = words[0][1] if words else 1
    with open(page.path, "w") as file:
        for word, number in words[:top]:
            print(f'<p>{word} <meter value="{number}" max="{most}"></meter> {number}</p>', file=file)
    return sum(number for _, number in words)


@dsl.container_component
def pack(page: Input[HTML], words: int, packed: Output[Artifact]):
    """Compress the page. A parameter is an argument of the command like any other."""
    return dsl.ContainerSpec(
        image="busybox:1.37",
        command=["sh", "-euc", 'mkdir -p "$(dirname "$2")"; echo "$0 words"; gzip -c "$1" > "$2"'],
        args=[words, page.path, packed.path],
    )


@dsl.pipeline
def word_report(document: str, top: int = 10) -> int:
    """Count the words of a document, draw the most frequent ones, and compress the page."""
    text = dsl.importer(artifact_uri=document, artifact_class=Artifact)
    counted = count(text=text.output)
    drawn = draw(counts=counted.outputs["counts"], top=top)
    pack(page=drawn.outputs["page"], words=drawn.outputs["Output"])
    return drawn.outputs["Output"]


if __name__ == "__main__":
    local.init(runner=local.DockerRunner())
    word_report(document=str(Path(__file__).resolve().parent.parent / "LICENSE"))
