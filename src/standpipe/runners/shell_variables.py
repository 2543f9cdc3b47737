"""Variables in unquoted text of a command, replaced as `sh` does."""

from __future__ import annotations

import re
from collections.abc import Mapping

#: `$NAME`, `${NAME}` and `${NAME:-default}`, also without the colon.
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?:(:?-)([^}]*))?\})")


def replace_variables(text: str, variables: Mapping[str, str]) -> str:
    """Return a text with `$NAME`, `${NAME}`, `${NAME-default}` and `${NAME:-default}` replaced, by the rules of POSIX.

    Raises:
        KeyError: with the name of a variable that is not set and has no default. `sh` would take it for empty.
    """

    def value(match: re.Match[str]) -> str:
        name, operator, default = match[1] or match[2], match[3], match[4]
        current = variables.get(name)
        if operator and (current is None or (operator == ":-" and not current)):
            return str(default)
        if current is None:
            raise KeyError(name)
        return current

    return _VARIABLE.sub(value, text) if "$" in text else text
