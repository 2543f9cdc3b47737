"""Findings: what checks of pipelines report."""

from __future__ import annotations

from standpipe.model.frozen import frozen


@frozen
class Finding:
    """One problem that a check has found.

    Attributes:
        rule: the short, stable id of the rule that is broken, such as `unknown-component`. The `RULES` of
            `model.validation` and `model.cluster_differences` describe them. Ids are an interface: they may be listed
            in a configuration, and are not renamed.
        path: the location of the problem, as the path of a field of the compiled file, such as
            `root.dag.tasks.train.componentRef.name`. It has this form for Plans that come from Python, too.
        message: what the problem is, as a phrase without a capital letter or a full stop, to follow a colon.
        fix: what to do about it, as one sentence. Empty if the message says all there is to say.
    """

    rule: str
    path: str
    message: str
    fix: str = ""

    def __str__(self) -> str:
        """Return the finding as the text of an error: `<path>: <message>. <fix>`."""
        return f"{self.path}: {self.message}{f'. {self.fix}' if self.fix else ''}"
