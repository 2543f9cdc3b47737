"""Pipelines with the shapes and the names that pages find hard: failures, long loops, deep nesting, markup in names."""

from __future__ import annotations

from standpipe import dsl
from standpipe.dsl import Artifact, Input, Output
from standpipe.dsl.base_component import BaseComponent

#: Text that must never become a part of a page.
MARKUP = "<img src=x onerror=alert(1)>"
QUOTES = 'it\'s "quoted" & 日本 ünïcode'


@dsl.component
def load_data(rows: int) -> int:
    """Return the number of rows."""
    print(f"loaded {rows} rows")
    return rows


@dsl.component
def divide(rows: int, by: int) -> float:
    """Divide, and fail if the divisor is 0."""

    def share(part: int, whole: int) -> float:
        return part / whole

    print(f"\x1b[31mdividing\x1b[0m {rows} by {by}")
    return share(rows, by)


@dsl.component
def save(value: float) -> str:
    """Return a text."""
    return str(value)


@dsl.pipeline(name="broken-division")
def broken_division(rows: int = 100, by: int = 0) -> None:
    """Fail in a function of the user, after two retries."""
    loaded = load_data(rows=rows)
    divided = divide(rows=loaded.output, by=by).set_retry(2)
    save(value=divided.output)


@dsl.component
def score(item: int) -> int:
    """Return a score."""
    return item


@dsl.component
def total(scores: list) -> int:
    """Return the sum."""
    return sum(scores)


def long_loop(iterations: int) -> BaseComponent:
    """Return a pipeline with a loop."""

    @dsl.pipeline(name="long-loop")
    def loop() -> int:
        with dsl.ParallelFor(list(range(iterations))) as item:
            scored = score(item=item)
        return total(scores=dsl.Collected(scored.output)).output

    return loop


@dsl.component
def leaf(text: str) -> str:
    """Return a text."""
    return text


def nested(depth: int) -> BaseComponent:
    """Return a pipeline with so many pipelines inside of each other."""
    inner: BaseComponent = leaf
    for level in range(depth, 0, -1):
        inner = _around(inner, level)
    return inner


def _around(inner: BaseComponent, level: int) -> BaseComponent:
    @dsl.pipeline(name=f"level-{level}")
    def outer(text: str) -> str:
        before = leaf(text=text)
        return inner(text=before.output).output

    return outer


@dsl.component
def echo(text: str, made: Output[Artifact]) -> str:
    """Print a text, write it and return it."""
    print(text)
    with open(made.path, "w") as file:
        file.write(text)
    made.metadata[text] = text
    return text


@dsl.component
def read(made: Input[Artifact]) -> str:
    """Return what an artifact holds."""
    with open(made.path) as file:
        return file.read()


@dsl.pipeline(name=f"{QUOTES} {MARKUP}", description=MARKUP)
def markup(text: str) -> None:
    """Handle text that looks like a part of a page."""
    with dsl.ParallelFor([MARKUP, QUOTES], name="over texts") as item:
        echoed = echo(text=item).set_display_name(MARKUP)
        read(made=echoed.outputs["made"]).set_display_name(QUOTES)
    echo(text=text).set_display_name(f"{QUOTES} {MARKUP}")


@dsl.component
def print_lines(megabytes: int) -> None:
    """Print so many MB of numbered lines."""
    line = "x" * 88
    for number in range(megabytes * 10_000):
        print(f"{number:010} {line}")


@dsl.pipeline(name="talkative")
def talkative(megabytes: int) -> None:
    """Print a long log."""
    print_lines(megabytes=megabytes)


@dsl.component
def write_hostile_page(page: Output[dsl.HTML]) -> None:
    """Write a page that attacks the one that shows it."""
    with open(page.path, "w") as file:
        file.write(
            "<!doctype html><title>Hostile</title><h1 id='here'>Hostile page</h1><script>"
            "document.getElementById('here').textContent = 'script ran';"
            "try { parent.document.title = 'taken over'; } catch (error) {}"
            "try { parent.document.body.dataset.cookie = document.cookie; } catch (error) {}"
            "try { top.location = 'http://attacker.invalid/'; } catch (error) {}"
            "try { fetch('/', {credentials: 'include'}).catch(() => 0); } catch (error) {}"
            "try { fetch('http://attacker.invalid/').catch(() => 0); } catch (error) {}"
            "try { window.open('http://attacker.invalid/'); } catch (error) {}"
            "</script><img src='http://attacker.invalid/pixel.png'><img src='/static/icon.svg'>"
            "<form action='/runs' method='post' id='form'><button>Send</button></form>"
            "<meta http-equiv='refresh' content='0;url=http://attacker.invalid/'>"
            "<a href='http://attacker.invalid/' target='_top'>Leave</a>"
        )


@dsl.pipeline(name="hostile-page")
def hostile_page() -> None:
    """Write an HTML artifact that attacks the page that shows it."""
    write_hostile_page()


@dsl.component
def wait_for(file: str, step: int) -> int:
    """Print that it waits, until a file exists."""
    import os
    import time

    print(f"step {step} waits")
    while not os.path.exists(file):
        time.sleep(0.01)
    print(f"step {step} ends")
    return step


@dsl.pipeline(name="live")
def live(folder: str) -> None:
    """Do three steps, each when the test creates a file."""
    first = wait_for(file=f"{folder}/1", step=1).set_display_name("first")
    second = wait_for(file=f"{folder}/2", step=2).after(first).set_display_name("second")
    wait_for(file=f"{folder}/3", step=3).after(second).set_display_name("third")
