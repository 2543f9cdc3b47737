"""Options of pip among a component's packages, and what uv gets for them."""

from __future__ import annotations

import pytest

from standpipe.errors import EnvironmentBuildError
from standpipe.runners.process.pip_options import (
    Option,
    parse_arguments,
    pip_words,
    uv_options,
    uv_variables,
    without_effect,
)


@pytest.mark.parametrize(
    ("words", "options"),
    [
        (["--no-deps", "x==1"], ["--no-deps"]),
        (["--pre", "x"], ["--prerelease=allow"]),
        (["--index-url", "https://a", "x"], ["--index-url", "https://a"]),
        (["x", "-i", "https://a"], ["--index-url", "https://a"]),
        (["-f", "/w", "x"], ["--find-links", "/w"]),
        (["-f/w", "x"], ["--find-links", "/w"]),
        (["-f /w", "x"], ["--find-links", "/w"]),
        (["--find-links=/w", "x"], ["--find-links", "/w"]),
        (["-r", "r.txt"], ["-r", "r.txt"]),
        (["-c", "c.txt", "x"], ["-c", "c.txt"]),
        (["-e", "."], ["-e", "."]),
        (["--upgrade", "x"], ["--upgrade"]),
        (["-qU", "x"], ["--upgrade"]),
        (["--trusted-host", "a", "x"], ["--allow-insecure-host", "a"]),
        (["--no-cache-dir", "--force-reinstall", "x"], ["--no-cache", "--reinstall"]),
        (["--break-system-packages", "x"], ["--break-system-packages"]),
        (["--only-binary=:all:", "x"], ["--only-binary", ":all:"]),
        (["--no-binary", "a,b", "x"], ["--no-binary", "a", "--no-binary", "b"]),
        (["--user", "--prefer-binary", "-vv", "x"], []),
    ],
)
def test_options_of_uv(words: list[str], options: list[str]) -> None:
    assert list(uv_options(parse_arguments(words, "c").options)) == options


def test_the_order_is_kept_and_the_last_index_counts() -> None:
    words = ["-i", "https://a", "--extra-index-url=https://b", "x", "--no-deps", "-i", "https://c", "y"]
    arguments = parse_arguments(words, "c")

    assert arguments.requirements == ("x", "y")
    assert list(uv_options(arguments.options)) == [
        *("--extra-index-url", "https://b", "--no-deps", "--index-url", "https://c"),
        *("--index-strategy", "unsafe-best-match"),
    ]
    assert list(pip_words(arguments.options)) == [
        *("--index-url=https://a", "--extra-index-url=https://b", "--no-deps", "--index-url=https://c"),
    ]


def test_requirements_are_not_taken_apart() -> None:
    words = ["pandas >= 1.0, < 2 ; python_version > '3'", "x[a,b] @ git+https://h/x@-main", " y ", "--", "-z", ""]

    assert parse_arguments(words, "c").requirements == (words[0], words[1], "y", "-z", "")


def test_settings_that_uv_reads_from_variables() -> None:
    options = parse_arguments(
        ["--default-timeout=1.5", "--retries", "3", "--cert", "/c", "--proxy=http://p"], "c"
    ).options

    assert uv_variables(options) == {
        "UV_HTTP_TIMEOUT": "2",
        "UV_HTTP_RETRIES": "3",
        "SSL_CERT_FILE": "/c",
        **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://p"),
    }
    assert list(uv_options(options)) == without_effect(options) == []


def test_options_without_effect_are_listed_once() -> None:
    options = (Option("quiet"), Option("user"), Option("quiet"), Option("progress-bar", "off"))

    assert without_effect(options) == ["--quiet", "--user", "--progress-bar"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--no-such"], "unknown option --no-such of `pip install`"),
        (["-x"], "unknown option -x"),
        (["--pre=yes"], "unknown option --pre of"),
        (["--target", "/x"], "pip's option --target would not install into the environment of the task"),
        (["-t/x"], "pip's option -t would not install"),
        (["x", "--index-url"], "the option --index-url needs a value, as the next item of the list"),
        (["--index-url https://a"], "Write two: '--index-url', 'https://a'."),
        (["--index-url https://me:token@a"], "'--index-url https://***@a' is one argument, and pip has no such option"),
    ],
)
def test_what_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(EnvironmentBuildError) as failure:
        parse_arguments(words, "train")

    assert str(failure.value).startswith("packages_to_install of component 'train': ")
    assert message in str(failure.value)
