"""Conditions of tasks, and the sources of their inputs, as their author would write them in Python."""

from __future__ import annotations

import re
from collections.abc import Iterable

from standpipe.model.expressions import (
    Call,
    Comparison,
    Expression,
    Index,
    Literal,
    Logical,
    Negative,
    Not,
    QuotedReference,
    Tree,
    Variable,
)
from standpipe.model.plan import FromInput, FromTask, Node

#: The prefix of the inputs and outputs that the compiler adds to conditions, loops and exit handlers.
_COMPILER_PREFIX = "pipelinechannel--"

#: What the KFP SDK calls the items of loops and their fields (2.17.3, `dsl/for_loop.py`); the last one counts.
_LOOP_ITEM = re.compile(r".*(?:-loop-item|loop-item-param-\d+)(?:-subvar-(?P<field>.+))?")

#: What a selector of a field begins with.
_WHOLE = Call("parseJson", Variable("string_value"))

#: Functions that the compiler adds to convert the operands of a comparison.
_CONVERSIONS = {"int", "double", "bool", "string"}

_PARAMETER_VALUES = Index(Variable("inputs"), Literal("parameter_values"))

_WORDS = {"&&": " and ", "||": " or "}


def readable_name(name: str) -> str:
    """Return the name of an input or output without what the compiler adds."""
    return name.removeprefix(_COMPILER_PREFIX)


def describe_source(binding: FromInput | FromTask) -> str:
    """Return where an input comes from, such as `make.Output`, `rate`, `the item` or `the item's rate`."""
    if isinstance(binding, FromTask):
        return f"{binding.task}.{readable_name(binding.output)}{_describe_part(binding.selector)}"
    name, part = binding.input, _describe_part(binding.selector)
    item = _LOOP_ITEM.fullmatch(name)
    if item is None:
        return readable_name(name) + part
    part = (f".{item['field']}" if item["field"] else "") + part
    return f"the item's {part[1:]}" if part.startswith(".") else f"the item{part}"


def _describe_part(selector: Expression | None) -> str:
    """Return what a selector reads, as `.field`; in brackets if that is not a field."""
    if selector is None:
        return ""
    keys, tree = "", selector.tree
    while isinstance(tree, Index) and isinstance(tree.key, Literal):
        keys, tree = f".{tree.key.value}{keys}", tree.operand
    return keys if tree == _WHOLE else f"[{selector.text}]"


def describe_condition(node: Node, siblings: Iterable[Node]) -> str:
    """Return the condition of a task as text, such as `if flip-coin == 'heads'` or `else`; empty if it has none.

    Args:
        node: the task.
        siblings: the tasks of the same layer: the branches of a condition name those before them.
    """
    tree = _condition_of(node)
    if tree is None:
        return ""
    operands = _operands(tree)
    earlier = [_operands(other)[-1] for other in map(_condition_of, siblings) if other is not None]
    own = [each for each in operands if not (isinstance(each, Not) and each.operand in earlier)]
    if len(own) == len(operands):
        return f"if {_describe(tree, node)}"
    return f"else if {' and '.join(_describe_operand(each, node) for each in own)}" if own else "else"


def _condition_of(node: Node) -> Tree | None:
    return node.trigger.condition.tree if node.trigger.condition else None


def _operands(tree: Tree) -> tuple[Tree, ...]:
    return tree.operands if isinstance(tree, Logical) and tree.operator == "&&" else (tree,)


def _describe(tree: Tree, node: Node) -> str:
    if isinstance(tree, Literal):
        return repr(tree.value)
    if isinstance(tree, Index):
        return _describe_index(tree, node)
    if isinstance(tree, Call):
        argument = _describe(tree.argument, node)
        return argument if tree.function in _CONVERSIONS else f"{tree.function}({argument})"
    if isinstance(tree, Not):
        return f"not {_in_parentheses(tree.operand, node)}"
    if isinstance(tree, Negative):
        return f"-{_in_parentheses(tree.operand, node)}"
    if isinstance(tree, Comparison):
        return f"{_in_parentheses(tree.left, node)} {tree.operator} {_in_parentheses(tree.right, node)}"
    if isinstance(tree, Logical):
        return _WORDS[tree.operator].join(_describe_operand(operand, node) for operand in tree.operands)
    return tree.text if isinstance(tree, QuotedReference) else tree.name


def _describe_index(tree: Index, node: Node) -> str:
    if tree.operand == _PARAMETER_VALUES and isinstance(tree.key, Literal):
        return _describe_input(str(tree.key.value), node)
    return f"{_describe(tree.operand, node)}[{_describe(tree.key, node)}]"


def _describe_input(name: str, node: Node) -> str:
    """Return what an input is bound to: a task, followed by the name of its output unless that is `Output`."""
    binding = node.inputs.get(name)
    if isinstance(binding, FromTask) and binding.output == "Output" and not binding.selector:
        return binding.task
    return describe_source(binding if isinstance(binding, (FromInput, FromTask)) else FromInput(name))


def _describe_operand(tree: Tree, node: Node) -> str:
    return _in_parentheses(tree, node) if isinstance(tree, Logical) else _describe(tree, node)


def _in_parentheses(tree: Tree, node: Node) -> str:
    text = _describe(tree, node)
    return f"({text})" if isinstance(tree, (Comparison, Logical, Not)) else text
