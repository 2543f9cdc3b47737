"""Components that import the modules beside the script: the package `shop`, which is not installed.

    standpipe run examples/own_modules.py

In a local run, tasks get the modules that they import, on each runner, and a change of one is a change of the task. A
cluster has only the code of the component: `standpipe check` would say so (SP002) without the comments below. Before
you submit such a pipeline, put the package into the image or into an index, or embed it.
"""

from pathlib import Path

from standpipe import dsl, local
from standpipe.dsl import Dataset, Input


@dsl.component
def taxes_of(orders: Input[Dataset], country: str) -> float:
    """Return the taxes of all orders of a country."""
    from shop.orders import read_orders  # standpipe: noqa SP002 - this example is for local runs
    from shop.taxes import tax  # standpipe: noqa SP002

    chosen = [order for order in read_orders(orders.path) if order.country == country]
    print(f"{country}: {len(chosen)} orders")
    return round(sum(tax(order) for order in chosen), 2)


@dsl.component
def largest(taxes: list[float]) -> float:
    return max(taxes)


@dsl.pipeline
def own_modules(
    orders: str,
    countries: list[str] = ["PT", "NL", "CL", "JP"],  # noqa: B006 - KFP does not change it
) -> float:
    """Return the largest taxes of a country."""
    table = dsl.importer(artifact_uri=orders, artifact_class=Dataset)
    with dsl.ParallelFor(countries) as country:
        taxes = taxes_of(orders=table.output, country=country)
    return largest(taxes=dsl.Collected(taxes.output)).output


if __name__ == "__main__":
    local.init(runner=local.SubprocessRunner())
    print(own_modules(orders=str(Path(__file__).with_name("orders.csv").resolve())).output)
