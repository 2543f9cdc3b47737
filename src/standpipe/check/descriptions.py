"""What `standpipe check` says of its rules."""

from __future__ import annotations

from standpipe.check.registry import BY_ID, RULES
from standpipe.check.rule import Rule
from standpipe.errors import ArgumentError
from standpipe.support.near_misses import suggest


def explain(rule: str) -> str:
    """Return why a rule exists, with examples and its fix, as Markdown.

    Args:
        rule: its id or its name.

    Raises:
        ArgumentError: if there is no such rule.
    """
    known = BY_ID | {each.name: each for each in RULES}
    found = known.get(rule.upper()) or known.get(rule.lower())
    if found is None:
        close = suggest(rule, known)
        raise ArgumentError(f"Unknown rule {rule!r}.{close} `standpipe check --list-rules` lists the rules.")
    return describe(found)


def describe(rule: Rule) -> str:
    """Return the description of a rule as Markdown, which begins with a heading."""
    return f"# {rule.id} {rule.name} ({rule.severity.value})\n\n{rule.explanation.strip()}\n\n**Fix.** {rule.fix}"


def list_rules() -> str:
    """Return a line for each rule."""
    width = max(len(rule.name) for rule in RULES)
    return "\n".join(f"{rule.id}  {rule.severity.value:<7}  {rule.name:<{width}}  {rule.fix}" for rule in RULES)
