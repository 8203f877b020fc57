"""Arguments made of a trial's params: flags, overrides for Hydra, or one text of JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from podmap.spec.entries import ParamArgs
from podmap.spec.findings import show
from podmap.spec.placeholder import to_text

# Hydra 1.3's grammar for overrides (hydra/grammar/OverrideLexer.g4 and OverrideParser.g4).
_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_./\-]*")
_NO_BARE = frozenset({"null", "true", "false", "nan", "inf"})
_HYDRA_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_\-]*(\.([A-Za-z_][A-Za-z0-9_\-]*|[0-9]+))*")
_INTERPOLATION = re.compile(r"(\\*)\$\{")
_QUOTE = re.compile(r"(\\*)('|\Z)")


def make_arguments(form: ParamArgs, params: Mapping[str, Any]) -> Iterator[str]:
    """The arguments that stand for a trial's params, in the params' order.

    Args:
        form: What is asked for in `trial.args`.
        params: Name to value.
    """
    chosen = _chosen(form, params)
    if form.params == "json":
        yield json.dumps(chosen)
    elif form.params == "overrides":
        yield from (f"{name}={_hydra(value)}" for name, value in chosen.items())
    else:
        for name, value in chosen.items():
            yield from _flag(form, name, value)


def unfit_values(form: ParamArgs, params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The params that cannot be said in the form that is asked for, each with why.

    Args:
        form: What is asked for in `trial.args`.
        params: Name to value.
    """
    for name, value in _chosen(form, params).items():
        why = ""
        if form.params == "overrides":
            why = _why_not_for_hydra(name, value)
        elif form.params == "flags" and form.lists == "comma" and isinstance(value, list):
            held = next((one for one in value if "," in to_text(one)), None)
            if held is not None:
                why = f"{show(held)} holds a comma, which lists: comma cannot tell from its own"
            elif value == [""]:
                why = "a list of one empty text would be no list: with lists: comma"
        if why:
            yield name, why


def _chosen(form: ParamArgs, params: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in params.items()
        if (form.only is None or name in form.only)
        and name not in form.without
        and not (value is None and form.nulls == "omit")
    }


def _flag(form: ParamArgs, name: str, value: Any) -> Iterator[str]:
    flag = f"--{name}"
    if isinstance(value, bool) and form.booleans != "value":
        yield from _BOOLEANS[form.booleans](name, value)
    elif isinstance(value, list) and form.lists == "nargs":
        yield from (flag, *map(to_text, value))
    elif isinstance(value, list) and form.lists == "repeat":
        for one in value:
            yield from _pair(form, flag, to_text(one))
    elif isinstance(value, list) and form.lists == "comma":
        yield from _pair(form, flag, ",".join(map(to_text, value)))
    else:
        yield from _pair(form, flag, to_text(value))


_BOOLEANS: Mapping[str, Callable[[str, bool], list[str]]] = {
    "pair": lambda name, value: [f"--{name}" if value else f"--no-{name}"],
    "bare": lambda name, value: [f"--{name}"] if value else [],
}


def _pair(form: ParamArgs, flag: str, text: str) -> Iterator[str]:
    yield from (flag, text) if form.separator == "space" else (f"{flag}={text}",)


def _hydra(value: Any) -> str:
    """A value in Hydra's grammar, which Hydra and OmegaConf read back as the same value."""
    if isinstance(value, str):
        return value if _is_bare(value) else _quoted(value)
    if isinstance(value, list):
        return f"[{','.join(map(_hydra, value))}]"
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{key}:{_hydra(one)}' for key, one in value.items())}}}"
    return to_text(value)


def _is_bare(text: str) -> bool:
    return _BARE.fullmatch(text) is not None and text.lower() not in _NO_BARE


def _quoted(text: str) -> str:
    """The text in single quotes.

    OmegaConf would replace `${...}` and Hydra ends at a quote: both are escaped, and with them the
    backslashes before. All other characters stand for themselves.
    """
    text = _INTERPOLATION.sub(lambda found: f"{found[1] * 2}\\${{", text)
    body = _QUOTE.sub(lambda found: found[1] * 2 + ("\\'" if found[2] else ""), text)
    return f"'{body}'"


def _why_not_for_hydra(name: str, value: Any) -> str:
    if not _HYDRA_KEY.fullmatch(name):
        return f"{show(name)} is no key of a Hydra override"
    odd = next((key for key in _keys(value) if not _is_bare(key)), None)
    return "" if odd is None else f"{show(odd)} is no key that a Hydra override can have"


def _keys(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from value
    inner = value.values() if isinstance(value, Mapping) else value
    for one in inner if isinstance(value, (list, Mapping)) else ():
        yield from _keys(one)
