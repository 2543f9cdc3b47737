"""The fixture that runs tests of the plugin."""

from .inner_tests import run

__all__ = ["run"]
