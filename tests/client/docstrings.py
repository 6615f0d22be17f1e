"""Runs a docstring's examples as doctest would, with `await` allowed: Python's own stops at it."""

from __future__ import annotations

import ast
import contextlib
import doctest
import inspect
import io
from typing import Any

_FLAGS = doctest.ELLIPSIS


def examples_of(*modules: Any) -> dict[str, doctest.DocTest]:
    """The examples in these modules, by the name of what they document."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    return {
        test.name: test
        for module in modules
        for test in finder.find(module, module.__name__)
        if test.examples and "Sync" not in test.name
    }


def blocking_examples_of(*modules: Any) -> dict[str, doctest.DocTest]:
    """The examples of the blocking client."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = [test for module in modules for test in finder.find(module, module.__name__)]
    return {test.name: test for test in found if test.examples and test.name.endswith("SyncInnkeeper")}


async def run(test: doctest.DocTest, known: dict[str, Any]) -> None:
    """Run the examples one by one, each in the names that those before it left.

    Raises:
        AssertionError: an example printed something else than it says.
    """
    names = {**test.globs, **known}
    for example in test.examples:
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        code = compile(example.source, f"<{test.name}>", "single", flags, dont_inherit=True)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            value = eval(code, names)  # noqa: S307  # our own documentation
            if inspect.isawaitable(value):
                await value
        told = printed.getvalue()
        assert doctest.OutputChecker().check_output(example.want, told, _FLAGS), (
            f"{test.name}: {example.source.strip()} printed {told!r}, the example says {example.want!r}"
        )
