"""ExitHandler, tasks that ignore that others failed, and the order of tasks across groups."""

from typing import List, Optional

from corpus.entries import SMALL, pipeline
from corpus.shared import (
    add,
    clean_up,
    coin,
    dice,
    echo,
    fit,
    make_data,
    nothing,
    report,
    say,
    several,
    total,
    use_data,
    words,
)
from kfp import dsl
from kfp.dsl import Dataset, Input, Model


@dsl.component(**SMALL)
def notify(text: str = "done") -> str:
    return text


@dsl.component(**SMALL)
def log(code: Optional[int] = None) -> None:
    pass


@dsl.component(**SMALL)
def no_kfp_here(x: str) -> str:
    return x


@pipeline
def exit_handler(url: str):
    with dsl.ExitHandler(report(note=url)):
        no_kfp_here(x=url)


@pipeline
def exit_handler_without_status():
    with dsl.ExitHandler(clean_up()):
        nothing()


@pipeline
def exit_handler_by_keyword(path: str = "/p"):
    task = clean_up(path=path)
    with dsl.ExitHandler(exit_task=task, name="Guarded"):
        nothing()


@pipeline
def exit_handler_with_a_name():
    with dsl.ExitHandler(report(), name="all of it"):
        nothing()


@pipeline
def exit_handler_with_constants(text: str):
    with dsl.ExitHandler(notify(text=f"{text} is over")):
        say(text=text)


@pipeline
def exit_task_with_settings():
    task = clean_up(path=dsl.PIPELINE_ROOT_PLACEHOLDER).set_display_name("Clean up").set_caching_options(False)
    task.set_retry(2, backoff_duration="10s").set_cpu_limit("1").set_env_variable("A", "b")
    with dsl.ExitHandler(task):
        nothing()


@pipeline
def exit_handler_with_much_inside(texts: List[str], x: int = 1):
    with dsl.ExitHandler(report(note="end")):
        first = echo(x=x)
        second = add(a=first.output, b=2)
        with dsl.If(second.output == 3):
            say(text="three")
        with dsl.Else():
            say(text="not three")
        with dsl.ParallelFor(texts) as text:
            say(text=text)
            with dsl.If(text == "a"):
                echo(x=first.output)


@pipeline
def exit_handler_around_collected():
    with dsl.ExitHandler(report()):
        with dsl.ParallelFor([1, 2]) as n:
            made = echo(x=n)
        total(values=dsl.Collected(made.output))


@pipeline
def exit_handler_uses_outputs_from_outside(x: int):
    before = several(x=x)
    data = make_data()
    with dsl.ExitHandler(clean_up()):
        say(text=before.outputs["text"])
        use_data(data=data.outputs["data"])


@pipeline
def several_exit_handlers(text: str):
    with dsl.ExitHandler(report(note="one"), name="one"):
        say(text=text)
    with dsl.ExitHandler(report(note="two")):
        say(text=text)
        say(text="again")
    with dsl.ExitHandler(clean_up()):
        nothing()


@pipeline
def tasks_around_an_exit_handler(x: int):
    before = echo(x=x)
    with dsl.ExitHandler(clean_up()):
        nothing().after(before)
        echo(x=before.output)
    nothing()


@pipeline
def after_an_exit_handler():
    with dsl.ExitHandler(report()) as guarded:
        nothing()
    say(text="later").after(guarded)
    with dsl.ExitHandler(clean_up(), name="second") as second:
        dice()
    nothing().after(guarded, second)


@pipeline
def after_an_exit_handler_within_groups(x: int):
    with dsl.ExitHandler(clean_up()) as guarded:
        nothing()
    with dsl.If(x == 1):
        nothing().after(guarded)
    with dsl.ParallelFor([1, 2]) as n:
        echo(x=n).after(guarded)


@pipeline
def after_an_exit_task():
    last = clean_up()
    with dsl.ExitHandler(last):
        nothing()
    nothing().ignore_upstream_failure()


@dsl.pipeline
def tidy(text: str = "t"):
    first = say(text=text)
    notify(text=first.output)


@dsl.pipeline
def tidy_by_status(status: dsl.PipelineTaskFinalStatus, text: str = "t"):
    say(text=text)


@pipeline
def exit_task_is_a_pipeline(text: str):
    with dsl.ExitHandler(tidy(text=text)):
        say(text=text)


@pipeline
def exit_task_is_a_pipeline_by_default():
    with dsl.ExitHandler(tidy(), name="guarded"):
        nothing()


@pipeline
def exit_tasks_of_one_component(text: str):
    say(text=text)
    with dsl.ExitHandler(say(text=text)):
        say(text="inside")
    with dsl.ExitHandler(tidy(text=text)):
        tidy(text="inside")


@dsl.pipeline
def guarded_inside(text: str):
    with dsl.ExitHandler(report(note=text)):
        say(text=text)


@pipeline
def exit_handler_in_a_nested_pipeline(text: str):
    guarded_inside(text=text)
    with dsl.ExitHandler(clean_up()):
        guarded_inside(text="x")


@pipeline
def exit_handler_with_nested_pipelines(text: str):
    with dsl.ExitHandler(report()):
        tidy(text=text)
        with dsl.ParallelFor([1, 2]):
            tidy()


@pipeline
def exit_handler_around_an_importer(uri: str):
    with dsl.ExitHandler(clean_up()):
        use_data(data=dsl.importer(uri, Dataset).output)


@dsl.container_component
def container_report(status: dsl.PipelineTaskFinalStatus, text: str = "t"):
    return dsl.ContainerSpec(image="alpine", command=["echo", status, text])


@pipeline
def exit_task_is_a_container():
    with dsl.ExitHandler(container_report(text="over")):
        nothing()


@pipeline(name="final-status")
def final_status():
    first = add(a=1, b=2)
    report(note="done").after(first).ignore_upstream_failure()


@pipeline
def final_status_by_data():
    first = coin()
    report(note=first.output).ignore_upstream_failure()


@pipeline
def ignore_upstream_failure(text: str):
    first = say(text=text)
    notify(text=first.output).ignore_upstream_failure()
    notify(text="constant").after(first).ignore_upstream_failure()
    notify(text=f"of {first.output}").ignore_upstream_failure()
    notify(text=text).ignore_upstream_failure()
    nothing().ignore_upstream_failure()


@dsl.component(**SMALL)
def maybe_data(data: Optional[Input[Dataset]] = None, model: Optional[Input[Model]] = None) -> str:
    return ""


@pipeline
def ignore_upstream_failure_of_artifacts():
    data = make_data()
    trained = fit(data=data.outputs["data"])
    maybe_data(data=data.outputs["data"], model=trained.outputs["model"]).ignore_upstream_failure()


@pipeline
def ignore_upstream_failure_within_groups(x: int):
    outside = echo(x=x)
    with dsl.If(x == 1):
        first = coin()
        notify(text=first.output).ignore_upstream_failure()
        report(note="n").after(first).ignore_upstream_failure()
        log(code=outside.output).ignore_upstream_failure()
    with dsl.ParallelFor([1, 2]) as n:
        second = echo(x=n)
        log(code=second.output).ignore_upstream_failure()
        report(note="n").after(second).ignore_upstream_failure()


@pipeline
def ignore_upstream_failure_of_a_pipeline():
    first = tidy()
    notify(text="t").after(first).ignore_upstream_failure()
    tidy(text=coin().output).ignore_upstream_failure()


@pipeline
def ignore_upstream_failure_in_an_exit_handler():
    with dsl.ExitHandler(clean_up()):
        first = coin()
        notify(text=first.output).ignore_upstream_failure()


@pipeline
def final_status_of_a_pipeline():
    first = tidy()
    report(note="n").after(first).ignore_upstream_failure()


@pipeline
def after_across_groups(x: int):
    first = dice()
    with dsl.If(x == 1):
        second = nothing().after(first)
        third = nothing().after(second)
        with dsl.ParallelFor([1, 2]):
            nothing().after(first, second, third)
    with dsl.ParallelFor([3, 4]):
        fourth = nothing().after(first)
        with dsl.If(x == 2):
            nothing().after(fourth).after(first)
    nothing().after(fourth)


@pipeline
def after_tasks_in_loops(texts: List[str]):
    with dsl.ParallelFor(texts) as text:
        a = say(text=text)
        with dsl.ParallelFor([1, 2]):
            b = nothing()
    nothing().after(a)
    nothing().after(a, b)
    with dsl.ParallelFor([3]):
        nothing().after(b)
        with dsl.If(coin().output == "heads"):
            nothing().after(a)


@pipeline
def after_the_same_task_twice():
    first = dice()
    nothing().after(first).after(first)
    echo(x=first.output).after(first)
    nothing().after()


@pipeline
def after_pipelines_and_importers(uri: str):
    a = tidy()
    b = dsl.importer(uri, Dataset)
    nothing().after(a, b)
    tidy().after(b)
    dsl.importer(uri, Model).after(a)


@pipeline
def after_loops_by_their_items():
    made = words()
    with dsl.ParallelFor(made.output) as word:
        first = say(text=word)
    notify(text="t").after(first).ignore_upstream_failure()


@dsl.component(**SMALL)
def write(status: dict) -> None:
    pass


@dsl.pipeline
def exit_pipeline(status: dsl.PipelineTaskFinalStatus):
    write(status=status)


@pipeline
def an_exit_pipeline_passes_on_its_status():
    with dsl.ExitHandler(exit_pipeline()):
        say(text="a")
