"""Checks a table before anything uses it: a gate that fails the run, and an exit task that reports in any case.

    standpipe run examples/quality_gate.py:quality_gate --arg table=examples/orders.csv
    standpipe run examples/quality_gate.py:quality_gate --arg table=examples/orders-broken.csv

The second run fails, and says why. The exit task posts the outcome to a webhook if it gets one:

    standpipe run examples/quality_gate.py:quality_gate --arg table=... --arg webhook=https://...

It shows an importer, a condition with `dsl.Else`, a task that fails for a reason, and an exit handler. It needs no
packages.
"""

from pathlib import Path
from typing import NamedTuple

from standpipe import dsl, local
from standpipe.dsl import Dataset, Input, Markdown, Output


@dsl.component
def inspect(table: Input[Dataset], report: Output[Markdown]) -> NamedTuple(
    "Inspection", [("problems", list[str]), ("count", int)]
):
    """Return what is wrong with the table, with line numbers, and write it as a list.

    A bad table is a result, not an error: the pipeline decides what follows from it.
    """
    import csv

    problems, orders = [], set()
    with open(table.path, newline="") as file:
        reader = csv.DictReader(file)
        missing = {"order", "day", "country", "amount"} - set(reader.fieldnames or ())
        problems += [f"column {column!r} is missing" for column in sorted(missing)]
        for row in reader if not missing else ():
            line = reader.line_num
            if row["order"] in orders:
                problems.append(f"line {line}: order {row['order']} is there twice")
            orders.add(row["order"])
            try:
                if float(row["amount"]) <= 0:
                    problems.append(f"line {line}: the amount {row['amount']} is not positive")
            except ValueError:
                problems.append(f"line {line}: the amount {row['amount']!r} is not a number")
            if not row["country"]:
                problems.append(f"line {line}: the country is empty")

    with open(report.path, "w") as file:
        print(f"# {len(problems)} problems in {len(orders)} orders\n", file=file)
        print("\n".join(f"* {problem}" for problem in problems), file=file)
    return problems, len(problems)


@dsl.component
def reject(problems: list[str]):
    """Fail, with the first problems in the error."""
    shown = "; ".join(problems[:3])
    raise ValueError(f"the table has {len(problems)} problems: {shown}{'; …' if len(problems) > 3 else ''}")


@dsl.component
def summarize(table: Input[Dataset], totals: Output[Dataset]) -> float:
    """Write the total for each country, and return that of all. It may rely on what the gate has checked."""
    import csv
    from collections import Counter

    by_country = Counter()
    with open(table.path, newline="") as file:
        for row in csv.DictReader(file):
            by_country[row["country"]] += float(row["amount"])
    with open(totals.path, "w", newline="") as file:
        csv.writer(file).writerows([("country", "total"), *by_country.most_common()])
    return round(sum(by_country.values()), 2)


@dsl.component
def notify(status: dsl.PipelineTaskFinalStatus, webhook: str):
    """Say how the tasks in the exit handler have ended; post it to the webhook if there is one."""
    import json
    import urllib.request

    # A cluster has several states for a success, and one for a failure.
    text = f"The table was {'rejected' if status.state == 'FAILED' else 'accepted'}."
    if status.error_message:
        text += f" In the pipeline, {status.error_message}"
    print(text)
    if webhook:
        body, headers = json.dumps({"text": text}).encode(), {"Content-Type": "application/json"}
        request = urllib.request.Request(webhook, body, headers)  # noqa: S310 - its address is passed to the run
        urllib.request.urlopen(request, timeout=10).close()  # noqa: S310


@dsl.pipeline
def quality_gate(table: str, webhook: str = ""):
    """Summarize a table if nothing is wrong with it."""
    # The exit task runs when everything in the block has ended, whether it succeeded or not.
    with dsl.ExitHandler(notify(webhook=webhook)):
        imported = dsl.importer(artifact_uri=table, artifact_class=Dataset)
        inspected = inspect(table=imported.output)
        with dsl.If(inspected.outputs["count"] > 0):
            reject(problems=inspected.outputs["problems"])
        with dsl.Else():
            summarize(table=imported.output)


if __name__ == "__main__":
    local.init(runner=local.SubprocessRunner())
    quality_gate(table=str(Path(__file__).with_name("orders.csv").resolve()))
