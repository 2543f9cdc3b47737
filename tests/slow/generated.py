"""Random programs by hypothesis, for both SDKs to compile.

They avoid programs that the SDK compiles to documents with references to missing inputs: see `quirk` in the corpus.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

HEADER = """\
from typing import *

from kfp import dsl
from kfp.dsl import *

from corpus.parts import *
from corpus.shared import *


"""

#: No name is part of another, or of the names of loops over others: the SDK looks for one in the other.
PARAMETERS = {
    "alpha: int": "int",
    "bravo: str = 'b'": "str",
    "charlie: float = 0.5": "float",
    "delta: bool = True": "bool",
    "foxtrot: List[int] = [1, 2]": "ints",
    "golf: List[str] = ['a']": "strs",
    "hotel: Dict[str, int] = {'k': 1}": "dict",
    "india: List[Dict[str, int]] = []": "rows",
    "juliet: Optional[Input[Dataset]] = None": "data",
    "kilo: Optional[Input[List[Dataset]]] = None": "datas",
}
CONSTANTS = {
    "int": ["0", "-3", "7"],
    "str": ["'a'", '"it\'s"', "'é {x}'", "''", "dsl.PIPELINE_JOB_NAME_PLACEHOLDER"],
    "float": ["0.5", "-1e3"],
    "bool": ["True", "False"],
    "ints": ["[1, 2]", "[]"],
    "strs": ["['a', 'b']"],
    "dict": ["{'k': 1}", "{}"],
}
#: Inputs by component; those with a question mark may be left out.
COMPONENTS: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "echo": ({"x": "int"}, {".output": "int"}),
    "add": ({"a": "int", "b": "int"}, {".output": "int"}),
    "say": ({"text": "str"}, {".output": "str"}),
    "scale": ({"x": "float", "by": "float?"}, {".output": "float"}),
    "negate": ({"on": "bool"}, {".output": "bool"}),
    "coin": ({}, {".output": "str"}),
    "dice": ({}, {".output": "int"}),
    "ready": ({}, {".output": "bool"}),
    "numbers": ({}, {".output": "ints"}),
    "words": ({}, {".output": "strs"}),
    "rows": ({}, {".output": "rows"}),
    "several": ({"x": "int?"}, {".outputs['n']": "int", ".outputs['text']": "str", ".outputs['words']": "strs"}),
    "total": ({"values": "ints"}, {".output": "int"}),
    "join": ({"texts": "strs", "sep": "str?"}, {".output": "str"}),
    "look_up": ({"table": "dict", "key": "str?"}, {".output": "str"}),
    "make_data": ({"size": "int?"}, {".outputs['data']": "data"}),
    "fit": ({"data": "data", "rate": "float?"}, {".outputs['model']": "model", ".outputs['Output']": "float"}),
    "use_data": ({"data": "data"}, {".output": "str"}),
    "use_model": ({"model": "model", "note": "str?"}, {}),
    "merge": ({"parts": "datas"}, {".outputs['merged']": "data", ".outputs['Output']": "int"}),
    "plain_part": ({"x": "int", "text": "str?"}, {".output": "str"}),
    "looped_part": ({"ns": "ints"}, {".output": "ints"}),
    "tested_part": ({"text": "str"}, {}),
    "trained_part": ({"data": "data"}, {".output": "model"}),
}
SETTINGS = [".set_caching_options(False)", ".set_retry(2, '1m')", ".set_display_name('Shown')"]
CONTAINER_SETTINGS = [
    ".set_cpu_limit('1')",
    ".set_env_variable('A', 'b')",
    ".set_memory_request('1Gi')",
    ".set_accelerator_type('nvidia.com/gpu')",
    ".set_container_image('alpine')",
]
#: What an operand may be compared with, by its type.
COMPARED = {
    "int": ["int", "float"],
    "float": ["float", "int"],
    "bool": ["bool"],
    "str": ["str", "int", "bool", "float"],
}
ITEMS = {"ints": "int", "strs": "str", "rows": "row", "datas": "data"}
COLLECTORS = {"int": "total(values={})", "str": "join(texts={})", "data": "merge(parts={})"}
STATIC_ITEMS = {"int": "[1, 2]", "str": "['a', 'b']", "row": "[{'a': 1, 'b': 2}, {'a': 3, 'b': 4}]"}
MOST_TASKS = 25
DEEPEST = 3


@dataclass
class Scope:
    """The channels that a group of tasks can use, with their types; hidden ones are hidden in inner groups, too."""

    parent: Scope | None = None
    channels: dict[str, str] = field(default_factory=dict)
    tasks: list[str] = field(default_factory=list)
    #: Items of loops, which go into texts only where the SDK follows them: in a loop at the top, not in groups below.
    in_texts: set[str] = field(default_factory=set)
    hidden: str = ""
    is_loop: bool = False

    def chain(self) -> Iterator[Scope]:
        scope: Scope | None = self
        while scope:
            yield scope
            scope = scope.parent

    @property
    def depth(self) -> int:
        return sum(1 for _ in self.chain()) - 1

    @property
    def only_loops(self) -> bool:
        return all(scope.is_loop for scope in self.chain() if scope.parent)

    def of(self, kind: str) -> list[str]:
        hidden = {scope.hidden for scope in self.chain()}
        return [
            text for scope in self.chain() for text, its in scope.channels.items() if its == kind and text not in hidden
        ]

    def texts(self) -> list[str]:
        usable = set(self.in_texts).union(*(scope.in_texts for scope in self.chain() if not scope.parent))
        outputs = {text for scope in self.chain() for text in scope.channels if text.startswith("t")}
        kinds = ("int", "str", "float", "bool")
        return [text for kind in kinds for text in self.of(kind) if text in usable | outputs]


class Writer:
    """Writes one random program."""

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
        self.draw = draw
        self.lines: list[str] = []
        self.names = 0

    def one(self, options: Any) -> Any:
        return self.draw(st.sampled_from(list(options)))

    def often(self, times_in_ten: int) -> bool:
        return self.draw(st.integers(0, 9)) >= 10 - times_in_ten

    def name(self, letter: str) -> str:
        self.names += 1
        return f"{letter}{self.names}"

    def line(self, scope: Scope, text: str, outwards: int = 0) -> None:
        self.lines.append("    " * (scope.depth + 1 - outwards) + text)

    def program(self) -> str:
        root = Scope()
        parameters = [text for text in PARAMETERS if self.often(5)]
        for text in parameters:
            root.channels[text.split(":")[0]] = PARAMETERS[text]
        root.in_texts = set(root.channels)
        parameters.sort(key=lambda text: "=" in text)
        self.block(root, self.draw(st.integers(1, 5)))
        returned = self.one([None, *(text for text in root.channels if root.channels[text] in ("int", "str", "data"))])
        annotation = ""
        if returned and returned.startswith("t"):
            kinds = {"int": "int", "str": "str", "data": "Dataset"}
            annotation = f" -> {kinds[root.channels[returned]]}"
            self.line(root, f"return {returned}")
        return "\n".join(
            [f"{HEADER}@dsl.pipeline", f"def program({', '.join(parameters)}){annotation}:", *self.lines, ""]
        )

    def block(self, scope: Scope, statements: int) -> None:
        """Write at least one task, and then any statements."""
        self.task(scope)
        for _ in range(statements):
            if self.names >= MOST_TASKS:
                return
            kinds = [self.task, self.task, self.importer, self.ignoring]
            if scope.depth < DEEPEST:
                kinds += [self.loop, self.loop, self.branches, self.branches]
            if scope.depth == 0:
                kinds += [self.exit_handler]
            self.one(kinds)(scope)

    # tasks

    def task(self, scope: Scope, *, using: tuple[str, str] | None = None) -> str:
        """Write a call with the channel `using` among its arguments."""
        possible = [name for name in COMPONENTS if self.possible(scope, name, using)]
        name = self.one(possible)
        inputs, outputs = COMPONENTS[name]
        arguments = {}
        for key, kind in inputs.items():
            if using and kind.rstrip("?") == using[1]:
                arguments[key] = using[0]
                using = None
            elif not kind.endswith("?") or self.often(5):
                arguments[key] = self.argument(scope, kind.rstrip("?"))
        call = f"{name}({', '.join(f'{key}={text}' for key, text in arguments.items())})"
        task = self.name("t")
        self.line(scope, f"{task} = {call}{self.settings(scope, name)}")
        self.made(scope, task, outputs)
        return task

    def made(self, scope: Scope, task: str, outputs: dict[str, str]) -> None:
        scope.tasks.append(task)
        scope.channels |= {f"{task}{key}": kind for key, kind in outputs.items()}

    def possible(self, scope: Scope, name: str, using: tuple[str, str] | None) -> bool:
        kinds = [kind.rstrip("?") for kind in COMPONENTS[name][0].values()]
        if using and using[1] not in kinds:
            return False
        return all(kind in CONSTANTS or scope.of(kind) or (using and using[1] == kind) for kind in kinds)

    def argument(self, scope: Scope, kind: str) -> str:
        channels = scope.of(kind)
        if channels and (kind not in CONSTANTS or self.often(6)):
            return self.one(channels)
        texts = scope.texts()
        if texts and kind in ("str", "strs", "dict") and self.often(4):
            text = "f'" + "".join(f"{self.one(['', '-', '{{}}'])}{{{self.one(texts)}}}" for _ in range(2)) + "'"
            text = text.replace("['", '["').replace("']", '"]')
            return {"str": text, "strs": f"[{text}, 'c', {self.one(texts)}]", "dict": f"{{'k': [{text}]}}"}[kind]
        return self.one(CONSTANTS[kind])

    def settings(self, scope: Scope, name: str) -> str:
        text = ""
        if self.often(2):
            text += self.one(SETTINGS if name.endswith("_part") else SETTINGS + CONTAINER_SETTINGS)
        tasks = [task for outer in scope.chain() for task in outer.tasks]
        if tasks and self.often(2):
            text += f".after({self.one(tasks)})"
        return text

    def importer(self, scope: Scope) -> None:
        uris = ["'gs://x'", *scope.of("str")]
        sources = [text for text in scope.texts() if text in scope.of("str") and text[0] != "i"]
        metadata = f", metadata={{'k': {self.one(sources)}, 'l': [1]}}" if sources and self.often(4) else ""
        task = self.name("t")
        again = self.one(["", ", reimport=True"])
        self.line(scope, f"{task} = dsl.importer({self.one(uris)}, Dataset{again}{metadata})")
        self.made(scope, task, {".output": "data"})

    def ignoring(self, scope: Scope) -> None:
        if not scope.tasks:
            return
        upstream = self.one(scope.tasks)
        task = self.name("t")
        call = self.one([f"report(note='n').after({upstream})", f"clean_up(path='p').after({upstream})"])
        self.line(scope, f"{task} = {call}.ignore_upstream_failure()")
        self.made(scope, task, {})

    # groups

    def loop(self, scope: Scope) -> None:
        lists = [(text, kind) for kind in ITEMS for text in scope.of(kind)]
        name = self.name("i")
        inside = Scope(scope, is_loop=True)
        if lists and self.often(6):
            text, kind = self.one(lists)
            inside.hidden = text
            item = ITEMS[kind]
        else:
            # the SDK compiles wrong references to fields of constant items in conditions and exit handlers
            item = self.one([kind for kind in STATIC_ITEMS if kind != "row" or scope.only_loops])
            text = STATIC_ITEMS[item]
        options = self.one(["", ", parallelism=2", ", name='A loop'"])
        self.line(scope, f"with dsl.ParallelFor({text}{options}) as {name}:")
        first = f"{name}.a" if item == "row" else name
        using = (first, "int" if item == "row" else item)
        if item != "row":
            inside.channels[name] = item
            inside.in_texts = {name} if scope.depth == 0 and item != "data" else set()
        # the item is used at once: the SDK loses lists whose items are not used
        self.task(inside, using=using)
        self.block(inside, self.draw(st.integers(0, 2)))
        self.collect(scope, inside)

    def collect(self, scope: Scope, inside: Scope) -> None:
        made = [(text, kind) for text, kind in inside.channels.items() if kind in COLLECTORS and text.startswith("t")]
        if made and self.often(6):
            text, kind = self.one(made)
            task = self.name("t")
            self.line(scope, f"{task} = {COLLECTORS[kind].format(f'dsl.Collected({text})')}")
            output = {"int": (".output", "int"), "str": (".output", "str"), "data": (".outputs['merged']", "data")}
            self.made(scope, task, dict([output[kind]]))

    def condition(self, scope: Scope) -> str:
        operands = [(text, kind) for kind in COMPARED for text in scope.of(kind)]
        left, kind = self.one(operands)
        others = [text for text in scope.of(kind) if text != left]
        if others and self.often(3):
            right = self.one(others)
        else:
            # the SDK compares booleans and numbers with surprising results
            right = self.one([text for its in COMPARED[kind] for text in CONSTANTS[its] if "PLACEHOLDER" not in text])
            if self.often(2):
                left, right = right, left
        return f"{left} {self.one(['==', '!='] if kind == 'bool' else ['==', '!=', '<', '>=', '>', '<='])} {right}"

    def branches(self, scope: Scope) -> None:
        if not any(scope.of(kind) for kind in COMPARED):
            return
        elifs = self.draw(st.integers(0, 2))
        # Elif without Else is rare: the SDK makes the tasks after it part of it, which is invalid in many programs
        ends = not self.often(1) if elifs else self.often(5)
        words = ["If", *["Elif"] * elifs, *["Else"] * ends]
        arms = []
        for word in words:
            condition = "" if word == "Else" else self.condition(scope)
            self.line(scope, f"with dsl.{word}({condition}):")
            arms.append(Scope(scope))
            self.block(arms[-1], self.draw(st.integers(0, 1)))
        if len(words) > 1 and words[-1] == "Else" and self.often(8):
            self.one_of(scope, arms)

    def one_of(self, scope: Scope, arms: list[Scope]) -> None:
        kinds = set.intersection(*(set(arm.channels.values()) for arm in arms)) & {"int", "str", "float", "data"}
        if not kinds:
            return
        kind = self.one(sorted(kinds))
        made = [self.one([text for text, its in arm.channels.items() if its == kind]) for arm in arms]
        name = self.name("t")
        self.line(scope, f"{name} = dsl.OneOf({', '.join(made)})")
        scope.channels[name] = kind
        # not in text, where the SDK does not accept it: used once, at once
        self.task(scope, using=(name, kind))
        del scope.channels[name]

    def exit_handler(self, scope: Scope) -> None:
        name = self.name("e")
        texts = [text for text in scope.of("str") if not text.startswith("t")]
        call = self.one(["clean_up()", "report(note='n')", *(f"report(note={text})" for text in texts)])
        self.line(scope, f"{name} = {call}")
        self.line(scope, f"with dsl.ExitHandler({name}{self.one(['', ', name=chr(65)'])}):")
        self.block(Scope(scope), self.draw(st.integers(0, 3)))


@st.composite
def programs(draw: Any) -> str:
    """Return the source of a module with a pipeline named `program`."""
    return Writer(draw).program()
