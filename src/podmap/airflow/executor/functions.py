"""Trials that are a Python function: which functions can be, and how a worker finds them again."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from podmap.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])

PARAMS = "params"
"""A function whose one argument has this name gets all params as a dict."""
SHARD = "shard"
"""An argument of this name gets the piece of data: a dict of uri, name and index."""
PROGRAM = "podmap.airflow.executor.program"
"""What runs a function as a trial; its name stands in the trials' keys."""
LOADED_AS = "podmap_trial_function"
"""The name under which a trial's own process loads a function's file, for example a DAG file."""
_NEXT = "write it with `def` at the top of a module that the worker can import, or of the DAG file"


@dataclass(frozen=True)
class FunctionPlace:
    """Where a function is found by another process.

    Attributes:
        module: The module's name; empty if it is in a file that is no module, like a DAG file.
        file: The file it was written in.
        name: Its name there.
    """

    module: str
    file: str
    name: str

    @property
    def reference(self) -> str:
        """What the program of the trial is told: `module:name` or `/path/of/file.py:name`."""
        return f"{self.module or self.file}:{self.name}"

    @property
    def title(self) -> str:
        """The function's name for people and for keys: the same on every machine."""
        return f"{self.module or os.path.basename(self.file)}:{self.name}"


def trial_function(function: F) -> F:
    """Marks a function as what a trial runs, and checks that a worker will find it.

    It gets the trial's params by name, or all of them as one dict if its only argument is called
    `params`, and returns the result: a dict of metric name to number, perhaps with `outputs`,
    a dict of name to URI. What it raises is the trial's failure.

    Raises:
        UsageError: It is a lambda, is nested in another function, or is no plain function.
    """
    function_place(function)
    return function


def function_place(function: Any) -> FunctionPlace:
    """Where a function is found by another process.

    Raises:
        UsageError: It cannot be found: all that is known of that in this process.
    """
    if hasattr(function, "function") and hasattr(function, "partial"):
        raise UsageError(
            f"{_shown(function.function)} is an Airflow task: take its @task away, or decorate it "
            "with podmap.airflow.trial_function, since the sweep makes the tasks"
        )
    if not inspect.isfunction(function):
        raise UsageError(f"{_shown(function)} is not a plain Python function: {_NEXT}")
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise UsageError(f"{_shown(function)} is async or a generator: a trial is a plain function")
    if "<lambda>" in function.__qualname__:
        raise UsageError(
            f"{_shown(function)} is a lambda, which no other process can find: {_NEXT}"
        )
    if "." in function.__qualname__:
        raise UsageError(
            f"{_shown(function)} is inside another function or a class, where no other process can "
            f"find it: {_NEXT}"
        )
    module = function.__module__
    file = os.path.abspath(inspect.unwrap(function).__code__.co_filename)
    if _is_importable(module, function.__name__, file):
        return FunctionPlace(module, file, function.__name__)
    return FunctionPlace("", file, function.__name__)


def check_arguments(function: Callable[..., Any], params: Mapping[str, Any], *, shard: bool) -> str:
    """What is wrong with calling the function with such params; empty if nothing is.

    Args:
        function: The function.
        params: A trial's params.
        shard: Whether trials have a piece of data each.
    """
    signature = inspect.signature(function)
    names = list(signature.parameters)
    if takes_dict(function):
        return ""
    given = {**params, **({SHARD: {}} if shard and SHARD in names else {})}
    try:
        signature.bind(**given)
    except TypeError as error:
        have = ", ".join(sorted(given)) or "none"
        return f"{function.__name__}{signature} cannot take the params {have}: {error}"
    return ""


def takes_dict(function: Callable[..., Any]) -> bool:
    """Whether the function takes all params as one dict."""
    return [name for name in inspect.signature(function).parameters if name != SHARD] == [PARAMS]


def _is_importable(module: str, name: str, file: str) -> bool:
    """Whether importing the module by its name leads to this file.

    DAG files are loaded under names that no other process knows.
    """
    if module == "__main__" or module.startswith("unusual_prefix_"):
        return False
    loaded = sys.modules.get(module)
    origin = getattr(loaded, "__file__", None)
    return origin is not None and hasattr(loaded, name) and os.path.abspath(origin) == file


def _shown(function: Any) -> str:
    name = getattr(function, "__qualname__", None)
    place = getattr(function, "__module__", None)
    return f"{place}.{name}" if name and place else repr(function)
