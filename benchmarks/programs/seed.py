from standpipe import dsl, local

local.init(runner=local.SubprocessRunner())


@dsl.component
def add(a: int, b: int) -> int:
    return a + b


task = add(a=1, b=2)
assert task.output == 3


@dsl.pipeline
def math_pipeline(x: int, y: int, z: int) -> int:
    t1 = add(a=x, b=y)
    t2 = add(a=t1.output, b=z)
    return t2.output


assert math_pipeline(x=1, y=2, z=3).output == 6
