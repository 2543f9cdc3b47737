"""Checks of the arguments of functions for Kubernetes settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from standpipe.dsl.tracing.channels import describe_value
from standpipe.errors import AuthoringError, AuthoringTypeError


class Arguments:
    """The arguments of one call.

    Args:
        subject: what is called, with its task, for messages.
    """

    def __init__(self, subject: str) -> None:
        self.subject = subject

    def error(self, problem: str) -> AuthoringError:
        """Return an error about the value of an argument."""
        return AuthoringError(f"{self.subject}: {problem}.")

    def type_error(self, argument: str, expected: str, value: object) -> AuthoringTypeError:
        """Return an error about the type of an argument."""
        return AuthoringTypeError(f"{self.subject}: expected {argument} to be {expected}, got {describe_value(value)}.")

    def check_text(self, argument: str, value: object, *, may_be_empty: bool = True) -> str:
        """Return text.

        Raises:
            AuthoringTypeError: if it is not text.
            AuthoringError: if it is empty and must not be.
        """
        if not isinstance(value, str):
            raise self.type_error(argument, "text", value)
        if not value and not may_be_empty:
            raise self.error(f"expected {argument} to be text that is not empty")
        return value

    def check_list(self, argument: str, value: Sequence[str] | None) -> list[str]:
        """Return a list of texts; it raises what `check_text` raises."""
        if value is not None and not isinstance(value, (list, tuple)):
            raise self.type_error(argument, "a list", value)
        return [
            self.check_text(f"{argument}[{index}]", item, may_be_empty=True) for index, item in enumerate(value or ())
        ]

    def check_texts(
        self, argument: str, value: Mapping[str, str] | None, *, may_be_empty: bool = True
    ) -> dict[str, str]:
        """Return texts by name, none of which is empty unless `may_be_empty`; it raises what `check_text` raises."""
        if value is not None and not isinstance(value, Mapping):
            raise self.type_error(argument, "a dict", value)
        return {
            self.check_text(f"a name in {argument}", name): self.check_text(
                f"{argument}[{name!r}]", text, may_be_empty=may_be_empty
            )
            for name, text in (value or {}).items()
        }
