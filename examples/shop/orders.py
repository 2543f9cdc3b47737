"""Orders in a CSV file."""

import csv
from typing import NamedTuple


class Order(NamedTuple):
    """A row of the file."""

    number: int
    country: str
    amount: float


def read_orders(path: str) -> list[Order]:
    """Return the orders of a file with the columns `order`, `country` and `amount`."""
    with open(path, newline="") as file:
        return [Order(int(row["order"]), row["country"], float(row["amount"])) for row in csv.DictReader(file)]
