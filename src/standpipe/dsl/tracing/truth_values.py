"""A warning about Python operators that need the truth value of what is known only when the pipeline runs.

Python's `and`, `or`, `not`, `in`, chained comparisons and `if` ask for a truth value while the pipeline is traced.
The KFP SDK (2.17.3, `dsl/pipeline_channel.py`) defines none, so each comparison and each channel counts as true:
`with dsl.If(a == 1 and b == 2)` compiles `b == 2` alone. Published pipelines do this, so it is a warning here, which
names the line and what is lost.
"""

from __future__ import annotations

import ast
import linecache
from collections.abc import Iterator

from standpipe.dsl.tracing.source_locations import caller_frame, warn_caller
from standpipe.model.python_source import parse_source

_REMEDY = (
    "Write one comparison for each dsl.If, and nest dsl.If blocks where all of them must hold; or compare in a "
    "component that returns a bool."
)


def warn_of_truth_value(subject: str) -> None:
    """Warn, at the caller's line, that something which is known only when the pipeline runs counts as true.

    Args:
        subject: what is used like a bool, for the message: `a comparison with …`.
    """
    text = f"{subject} counts as true while the pipeline is traced, because its value is known only when it runs."
    frame = caller_frame()
    explanations: list[str] = []
    if frame is not None:
        source = "".join(linecache.getlines(frame.f_code.co_filename, frame.f_globals))
        explanations += _explain_statement(source, frame.f_lineno)
    warn_caller(" ".join((text, *explanations, _REMEDY)))


def _explain_statement(source: str, line: int) -> Iterator[str]:
    """Yield what is lost in the statement at a line, a sentence for each operator; nothing if it cannot be read."""
    try:
        tree = parse_source(source)
    except (SyntaxError, ValueError):
        return  # a cell of a notebook with magic commands, or a file that has changed since
    for expression in _find_expressions(tree, line):
        yield from _explain_expression(expression)


def _find_expressions(tree: ast.AST, line: int) -> Iterator[ast.AST]:
    """Yield the expressions of the innermost statement at a line, without those of the statements in its block."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.stmt, ast.ExceptHandler, ast.match_case)):
            yield from _find_expressions(node, line)
        elif isinstance(tree, ast.stmt) and tree.lineno <= line <= _last_line_of_header(tree):
            yield node


def _last_line_of_header(statement: ast.stmt) -> int:
    body = getattr(statement, "body", None)
    if not isinstance(body, list) or not body:
        return statement.end_lineno or statement.lineno
    before_body: int = body[0].lineno - 1
    return max(statement.lineno, before_body)  # the block may begin on the line of the header


def _explain_expression(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.BoolOp) or (isinstance(node, ast.Compare) and len(node.ops) > 1):
        remaining = _remaining_part(node)
        missing = ", ".join(f"`{part}`" for part in _parts(node) if part != remaining)
        yield f"`{ast.unparse(node)}` is reduced to `{remaining}`, without {missing}."
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield f"`{ast.unparse(node)}` is always False."
    elif isinstance(node, ast.Compare) and isinstance(node.ops[0], (ast.In, ast.NotIn)):
        yield f"`{ast.unparse(node)}` does not compare the items one by one: it is decided now."
    else:
        for child in ast.iter_child_nodes(node):
            yield from _explain_expression(child)


def _remaining_part(node: ast.AST) -> str:
    """Return what Python makes of an expression whose parts all count as true."""
    if isinstance(node, ast.BoolOp):
        return _remaining_part(node.values[-1 if isinstance(node.op, ast.And) else 0])
    if isinstance(node, ast.Compare) and len(node.ops) > 1:
        return _pairs(node)[-1]
    return ast.unparse(node)


def _parts(node: ast.AST) -> list[str]:
    if isinstance(node, ast.BoolOp):
        return [part for value in node.values for part in _parts(value)]
    return _pairs(node) if isinstance(node, ast.Compare) else [ast.unparse(node)]


def _pairs(node: ast.Compare) -> list[str]:
    """Return the comparisons of a chain: `1 < x` and `x < 3` of `1 < x < 3`."""
    operands = [node.left, *node.comparators]
    pairs = zip(operands, node.ops, operands[1:], strict=False)
    return [ast.unparse(ast.Compare(left, [operator], [right])) for left, operator, right in pairs]
