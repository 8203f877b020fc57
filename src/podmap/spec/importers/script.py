"""A first spec of a script, guessed from its help: to be looked through and edited."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from podmap.errors import SpecError, UsageError
from podmap.spec.importers.draft import dns_label, flow_text
from podmap.spec.importers.help_text import ScriptHelp, ScriptOption
from podmap.spec.load import load
from podmap.spec.yaml import YamlError, parse, to_data

TRIALS = 20
_RESULT = re.compile(r"(?:.*[-_.])?(result|results|output|out|metrics[-_]file|output[-_]file)")
_SEED = re.compile(r"(?:.*[-_.])?seed")
_CONSTANT = re.compile(
    r"(?:.*[-_.])?(epochs?|steps|max[-_]steps|iterations|iters|max[-_]iter|n[-_]iter|num[-_]epochs)"
)
_NEVER = re.compile(
    r"(?:.*[-_.])?(verbose|quiet|debug|resume|device|devices|gpus?|cuda|cpu|(num[-_])?workers|jobs"
    r"|n[-_]jobs|threads|port|host|config|dir|path|file|folder|project|name|cache|dry[-_]run"
    r"|profile|rank|log|logs|log[-_].*|print[-_].*|save[-_].*|checkpoint|data|dataset|input|root"
    r"|version|level|wandb.*)"
)
_SHARE = re.compile(r".*(dropout|ratio|frac|fraction|prob|probability|split|rate_?drop).*")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


@dataclass(frozen=True, slots=True)
class ScriptSpec:
    """A first spec.

    Attributes:
        text: As YAML, with comments that say what was guessed.
        params: The names of the params that it searches.
        to_fill: What has to be filled in by hand before it can run.
    """

    text: str
    params: Sequence[str]
    to_fill: Sequence[str]


@dataclass(slots=True)
class _Guess:
    """What becomes of the options: params, arguments, and what is told of the others."""

    params: list[tuple[str, str, str, str]] = field(default_factory=list)
    args: list[tuple[Any, str]] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    to_fill: list[str] = field(default_factory=list)
    paired: list[str] = field(default_factory=list)
    bare: list[str] = field(default_factory=list)


def guess_spec(script: str, command: Sequence[str], told: ScriptHelp) -> ScriptSpec:
    """A first spec of a script.

    Args:
        script: The script's path.
        command: How it is run, without arguments.
        told: What its help says.

    Raises:
        UsageError: What was guessed is no spec; this should not be.
    """
    guess = _Guess()
    for option in told.options:
        _add(guess, option, hydra=told.library == "Hydra")
    text = "\n".join(_lines(script, command, told, guess)) + "\n"
    try:
        root, _ = parse(text)
        load(to_data(root))
    except (SpecError, YamlError) as error:
        raise UsageError(f"no spec could be guessed from the help of {script}: {error}") from error
    return ScriptSpec(text, [param[0] for param in guess.params], guess.to_fill)


def _add(guess: _Guess, option: ScriptOption, *, hydra: bool) -> None:
    name = option.name.lower()
    about = f"--{option.name}" if not (hydra or option.positional) else option.name
    if option.positional:
        if option.required:
            guess.to_fill.append(f"the argument {option.name}")
            guess.args.append((f"TODO-{option.name}", f"to be filled in: {_shown(option, about)}"))
        return
    form = "{}={}".format if hydra else "--{}={}".format
    if _SEED.fullmatch(name):
        guess.args.append((form(option.name, "{trial.seed}"), "each trial's own seed, stable"))
    elif _RESULT.fullmatch(name) and option.kind == "text":
        why = "guessed: the file of its result; for a folder, trial.output and {trial.output}"
        guess.args.append((form(option.name, "{trial.result}"), why))
    elif _is_param(option, name):
        _add_param(guess, option, about)
    elif option.required:
        guess.to_fill.append(f"the option {about}")
        guess.args.append((form(option.name, "TODO"), f"to be filled in: {_shown(option, about)}"))
    else:
        guess.left.append(_why_left(option, about))


def _is_param(option: ScriptOption, name: str) -> bool:
    if _NEVER.fullmatch(name) or option.several or not _NAME.fullmatch(option.name):
        return False
    if option.kind in ("choice", "bool"):
        return True
    return bool(_range(option))


def _why_left(option: ScriptOption, about: str) -> str:
    if option.kind in ("float", "int", "text") and not option.several and option.default is None:
        return f"{about}: its help shows no default to guess a range from"
    return f"{about}: probably nothing to search"


def _add_param(guess: _Guess, option: ScriptOption, about: str) -> None:
    comment = _shown(option, about)
    if _CONSTANT.fullmatch(option.name.lower()) and option.default is not None:
        guess.params.append((option.name, flow_text(option.default), comment, "a constant"))
        return
    if option.kind == "bool":
        (guess.paired if option.negated else guess.bare).append(option.name)
        guess.params.append((option.name, "[true, false]", comment, ""))
    elif option.kind == "choice":
        guess.params.append((option.name, flow_text(list(option.choices)), comment, ""))
    else:
        why = "its help says so" if _limits(option) else f"around its default, {option.default}"
        guess.params.append((option.name, _range(option), comment, f"guessed: {why}"))


def _limits(option: ScriptOption) -> bool:
    return option.low is not None and option.high is not None and option.low < option.high


def _range(option: ScriptOption) -> str:
    """The range of a number; empty if none can be guessed."""
    default = option.default
    if option.kind not in ("int", "float"):
        return ""
    if _limits(option):
        low, high = (_number(option, option.low), _number(option, option.high))
        return f"{{low: {low}, high: {high}}}"
    if isinstance(default, bool) or not isinstance(default, int | float):
        return ""
    if default <= 0 or not 1e-300 < default < 1e300:
        return ""
    if option.kind == "int":
        whole = max(1, int(default))
        return f"{{low: {max(1, whole // 4)}, high: {max(2, whole * 4)}}}"
    if _SHARE.fullmatch(option.name.lower()) and default < 1:
        return f"{{low: 0.0, high: {min(0.9, 2 * default):g}}}"
    if 0.5 <= default < 1:
        return "{low: 0.5, high: 0.99}"
    return f"{{low: {_float(default / 10)}, high: {_float(default * 10)}, log: true}}"


def _number(option: ScriptOption, value: float | None) -> str:
    return str(int(value or 0)) if option.kind == "int" else _float(value or 0.0)


def _float(value: float) -> str:
    """A float of YAML 1.2, which an integer is not."""
    text = f"{value:.6g}"
    return text if any(char in text for char in ".e") else f"{text}.0"


def _shown(option: ScriptOption, about: str) -> str:
    return f"{about}: {option.help}" if option.help else about


def _lines(script: str, command: Sequence[str], told: ScriptHelp, guess: _Guess) -> Iterator[str]:
    yield f"# A first spec of {_comment(script)}, guessed from its --help ({told.library}): look"
    yield "# through it, above all what is said to be guessed, or to be filled in. Then:"
    yield "#   podmap plan FILE"
    yield "#   podmap run FILE --set search.trials=3"
    yield from (f"# {note}" for note in told.notes)
    yield "apiVersion: podmap/v1"
    yield f"name: {flow_text(dns_label(re.sub(r'[.]py$', '', script.rpartition('/')[2])))}"
    yield from _search_lines(guess)
    yield "# Guessed. The script has to leave this metric: as JSON in the file PODMAP_RESULT, by"
    yield '# podmap_trial, or in what it prints, with metrics: {loss: "loss=([0-9.eE+-]+)"}.'
    yield "objective: {metric: loss, direction: minimize}"
    yield "trial:"
    yield f"  command: {flow_text(list(command))}"
    args = list(_args(told, guess))
    yield "  args:" if args else "  args: []"
    for value, why in args:
        yield f"    - {flow_text(value)}{f'  # {_comment(why)}' if why else ''}"
    yield "parallelism: 2  # attempts at once, guessed"


def _search_lines(guess: _Guess) -> Iterator[str]:
    searched = any(value.startswith(("{", "[")) for _, value, *_ in guess.params)
    yield "search:"
    if not guess.params:
        yield "  # No option was found that could be a param: name them here."
    yield "  kind: random"
    yield f"  trials: {TRIALS if searched else 1}  # guessed"
    yield "  params:" if guess.params else "  params: {todo: 1}"
    for name, value, about, why in guess.params:
        yield f"    # {_comment(about)}"
        yield f"    {flow_text(name)}: {value}{f'  # {why}' if why else ''}"
    if guess.left:
        yield "    # Not searched:"
        yield from (f"    #   {_comment(line)}" for line in guess.left)


def _args(told: ScriptHelp, guess: _Guess) -> Iterator[tuple[Any, str]]:
    """The arguments: positional ones first, since options may take several values."""
    yield from (one for one in guess.args if str(one[0]).startswith("TODO-"))
    if guess.params:
        if told.library == "Hydra":
            yield {"params": "overrides"}, ""
        else:
            special = [*guess.bare, *guess.paired]
            for names, form in ((guess.bare, "bare"), (guess.paired, "pair")):
                if names:
                    yield {"params": "flags", "only": names, "booleans": form}, ""
            if len(special) < len(guess.params):
                without = {"without": special} if special else {}
                yield {"params": "flags", **without}, "--NAME=VALUE for each param"
    yield from (one for one in guess.args if not str(one[0]).startswith("TODO-"))


def _comment(text: str) -> str:
    """A text for a comment: one line, without what a terminal or YAML would take for more."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())[:160]
