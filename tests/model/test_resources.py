"""Quantities, as Kubernetes writes them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from standpipe.model.resources import QuantityError, format_memory, parse_accelerator_count, parse_cpu, parse_memory


@pytest.mark.parametrize(("text", "expected"), [("2", 2), ("0.5", 0.5), ("250m", 0.25), (".5", 0.5), ("2.", 2)])
def test_cpu(text: str, expected: float) -> None:
    assert parse_cpu(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(("0", 0), ("1000", 1000), ("5K", 5000), ("5k", 5000), ("5M", 5_000_000), ("3Ki", 3072), ("1.5Gi", 3 * 2**29)),
        *(("2E", 2 * 10**18), ("1Ei", 2**60), ("9007199254740993", 9007199254740993), ("1e6", 1_000_000)),
    ],
)
def test_memory(text: str, expected: int) -> None:
    assert parse_memory(text) == expected


@pytest.mark.parametrize(
    ("memory", "text"),
    [
        (1010, "1010 bytes"),
        (1023 * 1024, "1023 KiB"),
        (int(999.4 * 1024**2), "999 MiB"),
        (int(999.6 * 1024**2), "1000 MiB"),
        (1100 * 1024**4, "1100 TiB"),
    ],
)
def test_no_size_is_shown_with_an_exponent(memory: int, text: str) -> None:
    assert format_memory(memory) == text


@pytest.mark.parametrize(
    ("read", "text"),
    [
        *((parse_cpu, text) for text in ("", "two", "1e3", "-1", "nan", "1 ", "1g", "m")),
        *((parse_memory, text) for text in ("", "much", "-1", "1 Gi", "1GiB", "1ki", "inf", "Gi", "1m")),
        *((parse_accelerator_count, text) for text in ("", "-1", "1.0", "one", "٣")),
    ],
)
def test_an_invalid_quantity_is_named(read: Callable[[str], object], text: str) -> None:
    with pytest.raises(QuantityError, match=r"^invalid .*: expected .* such as '") as error:
        read(text)
    assert repr(text) in str(error.value)
