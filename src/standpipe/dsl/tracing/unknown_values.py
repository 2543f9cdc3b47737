"""What Python operators answer for values that exist only when the pipeline runs.

Without these methods, Python's own messages would name classes that users have never seen, and not say what to do:
`'PipelineParameterChannel' object is not iterable`. The classes of the errors are those that Python raises.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from standpipe.errors import AuthoringAttributeError, AuthoringTypeError

_SELECT = "Pass it to a component as a whole, and read the part there."


def _refuse(action: str, remedy: str) -> Callable[..., NoReturn]:
    """Return a method that raises an error about what Python cannot do, with what to do instead."""

    def refuse(self: UnknownValue, *_: object) -> NoReturn:
        raise AuthoringTypeError(
            f"The {self._describe()} is known only when the pipeline runs, so Python cannot {action} while the "
            f"pipeline is traced. {remedy}"
        )

    return refuse


class UnknownValue:
    """A value that is known only when the pipeline runs: operators raise an error that says what to do instead."""

    __iter__ = __reversed__ = _refuse(
        "iterate over it", "Loop over it with dsl.ParallelFor, or pass it to a component as a whole."
    )
    __len__ = _refuse("take its length", "Compute with it in a component.")
    __getitem__: Any = _refuse("read a part of it", _SELECT)
    __contains__ = _refuse("search in it", "Compare in a component that returns a bool.")
    __fspath__ = _refuse("use it as a path", "Add text to it in an f-string, or use it in a component.")
    __index__ = __int__ = __float__ = __complex__ = __round__ = _refuse(
        "convert it to a number", "Pass it to a component as it is."
    )
    __add__ = __radd__ = _refuse("add to it", "Join text with an f-string, and add numbers in a component.")
    __sub__ = __mul__ = __truediv__ = __floordiv__ = __mod__ = __divmod__ = __pow__ = __matmul__ = _refuse(
        "calculate with it", "Compute with it in a component."
    )
    __rsub__ = __rmul__ = __rtruediv__ = __rfloordiv__ = __rmod__ = __rdivmod__ = __rpow__ = __rmatmul__ = __sub__
    __and__ = __or__ = __xor__ = __rand__ = __ror__ = __rxor__ = __neg__ = __pos__ = __abs__ = __invert__ = __sub__

    def _describe(self) -> str:
        raise NotImplementedError

    def __format__(self, spec: str) -> str:
        if spec:
            _refuse(f"format it as {spec!r}", "Leave the format out, or format it in a component.")(self)
        return str(self)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)  # looked up by Python itself and by libraries, which expect that it is missing
        raise AuthoringAttributeError(
            f"The {self._describe()} is known only when the pipeline runs, and has no attribute {name!r} while the "
            f"pipeline is traced. {_SELECT}"
        )
