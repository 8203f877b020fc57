"""The program of a trial that is a Python function, which `python -m` runs with REF.

REF is `module:name` or `/path/of/file.py:name`. The params come from PODMAP_PARAMS, the result goes
to PODMAP_RESULT: to podmap it is a trial like any other, so that timeouts, retries, logs and a
worker's death are nothing special. `--check` only finds the function.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from podmap.airflow.executor.functions import LOADED_AS, SHARD, takes_dict

SHARD_PARTS = ("uri", "name", "index")
CHECK = "--check"


def main(arguments: Sequence[str]) -> int:
    """Calls the function; what it raises goes on, as in any Python program.

    Args:
        arguments: REF, and `--check` or the parts of the trial's shard, if it has one.
    """
    reference, *rest = arguments
    function = find_function(reference)
    if rest == [CHECK]:
        return 0
    params = json.loads(os.environ["PODMAP_PARAMS"])
    result = function(**_arguments(function, params, rest))
    if result is not None:
        _write(result, function.__name__)
    return 0


def find_function(reference: str) -> Callable[..., Any]:
    """The function that a reference names.

    Raises:
        ImportError: Its module, or what the module imports, is not here.
        AttributeError: The module has no such function.
    """
    place, _, name = reference.rpartition(":")
    if not place.endswith(".py"):
        found: Callable[..., Any] = getattr(importlib.import_module(place), name)
        return found
    spec = importlib.util.spec_from_file_location(LOADED_AS, place)
    if spec is None or spec.loader is None or not Path(place).is_file():
        raise ImportError(f"no file {place}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    function: Callable[..., Any] = getattr(module, name)
    return function


def _arguments(
    function: Callable[..., Any], params: Mapping[str, Any], shard: Sequence[str]
) -> dict[str, Any]:
    given: dict[str, Any] = {"params": dict(params)} if takes_dict(function) else dict(params)
    if shard and SHARD in function.__code__.co_varnames[: function.__code__.co_argcount]:
        uri, name, index = shard
        given[SHARD] = dict(zip(SHARD_PARTS, (uri, name, int(index)), strict=True))
    return given


def _write(result: Any, name: str) -> None:
    if not isinstance(result, Mapping):
        raise TypeError(
            f"{name}() returned {type(result).__name__}: a trial returns a dict of metric name to "
            'number, for example {"accuracy": 0.9}'
        )
    text = json.dumps({str(key): _plain(value) for key, value in result.items()})
    Path(os.environ["PODMAP_RESULT"]).write_text(text, encoding="utf-8")


def _plain(value: Any) -> Any:
    """The value as JSON knows it; numbers of NumPy and PyTorch have `item()`."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    item = getattr(value, "item", None)
    return item() if callable(item) else value


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
