"""What the `--help` of a script says of its options: of argparse, click, Typer and Hydra."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from podmap.spec.yaml import YamlError, parse, to_data

OptionKind = Literal["float", "int", "choice", "bool", "text"]

_ANSI = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|\][^\x07\x1b]*(?:\x07|\x1b\\))")
_BOX = re.compile(r"[│┃╭╮╰╯─━┏┓┗┛]+")
_FLAG = re.compile(r"(?<![\w-])--?[A-Za-z][\w.-]*")
_DEFAULT = re.compile(r"[\[(]\s*default(?:s to)?[:=]?\s+([^;\])]+)", re.IGNORECASE)
# Of bounded length: a help may hold a megabyte of digits.
_BOUND = r"(-?(?:\d{1,20}(?:\.\d{0,20})?|\.\d{1,20})(?:e[+-]?\d{1,2})?)"
_RANGE = re.compile(rf"(?<![\w.]){_BOUND}\s*<=?\s*x\s*<=?\s*{_BOUND}(?![\w.])")
_CHOICES = re.compile(r"[{<\[]([^\s{}<>\[\],|]+(?:[,|][^\s{}<>\[\],|]+)+)[}>\]]")
_TYPE = re.compile(
    r"<[^>]+>(\s*\[[^\]]*\])?|\[[^\]]*\|[^\]]*\]|(?:INTEGER|FLOAT)(?: RANGE)?(\s*\[[^\]]*\])?"
    r"|[A-Z][A-Z0-9_]*(?:\s\.\.\.)?"
)
_FLOATS = {"float", "<float>", "number"}
_INTS = {"int", "integer", "<int>"}
_SECTION = re.compile(r"\S.*:$")
_SECTIONS = {"options", "arguments", "positional arguments", "optional arguments", "commands"}
_GROUP = re.compile(r"([\w/@]+): (\S+(?:, \S+)*)")


@dataclass(frozen=True, slots=True)
class ScriptOption:
    """An option or argument of a script, as far as its help tells.

    Attributes:
        name: Without dashes: `batch-size`, of Hydra `optimizer.lr`.
        kind: What it takes.
        default: Its default; None if the help does not say.
        choices: Of kind "choice".
        low: The least number that it takes; None if the help does not say.
        high: The greatest.
        required: Whether the script needs it.
        positional: Whether it stands without a name.
        several: Whether it takes several values.
        negated: Whether `--no-NAME` is its contrary.
        help: What the help says of it, in a line.
    """

    name: str
    kind: OptionKind
    default: Any = None
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    required: bool = False
    positional: bool = False
    several: bool = False
    negated: bool = False
    help: str = ""


@dataclass(frozen=True, slots=True)
class ScriptHelp:
    """What a help says.

    Attributes:
        library: "argparse", "click", "Typer" or "Hydra", as it seems.
        options: In their order.
        notes: What was understood and is not among the options.
    """

    library: str
    options: tuple[ScriptOption, ...]
    notes: tuple[str, ...] = ()


def read_help(text: str) -> ScriptHelp:
    """What a help says of options; what it does not understand is left out."""
    text = _ANSI.sub("", text).replace("\r\n", "\n")
    if "owered by Hydra" in text:
        return _read_hydra(text)
    boxed = "╭" in text or "┏" in text
    lines = (
        [_BOX.sub(" ", line).rstrip() for line in text.splitlines()]
        if boxed
        else (text.splitlines())
    )
    usage = _usage(lines)
    library = "Typer" if boxed else "argparse" if "usage: " in text else "click"
    found = _read_options(lines, _required_words(usage))
    # A name may be told again, as that of another subcommand.
    options = list({option.name: option for option in reversed(list(found))}.values())[::-1]
    named = {option.name for option in options}
    if not any(option.positional for option in options):
        options += [one for one in _usage_arguments(usage) if one.name not in named]
    commands = bool(re.search(r"COMMAND|\{[\w,-]+\} \.\.\.", usage))
    notes = ("it has subcommands: give the one that trains as part of trial.command",) * commands
    return ScriptHelp(library, tuple(options), notes)


def _usage(lines: list[str]) -> str:
    """The usage in one line; empty if there is none."""
    found: list[str] = []
    for line in lines:
        if found and (not line.strip() or not line.startswith(" " * 3)):
            break
        if found or line.strip().lower().startswith("usage:"):
            found.append(line.strip())
    return " ".join(found)


def _usage_arguments(usage: str) -> Iterator[ScriptOption]:
    """The arguments that click names in its usage alone: `c.py [OPTIONS] DATA`."""
    words = usage.partition("[OPTIONS]")[2].split()
    for word in words:
        plain = word.strip("[]{}.")
        if plain and plain not in ("COMMAND", "ARGS"):
            optional = word.startswith("[")
            yield ScriptOption(plain.lower(), "text", required=not optional, positional=True)


@dataclass(slots=True)
class _HelpEntry:
    head: str
    indent: int
    section: str
    help: list[str] = field(default_factory=list)


def _read_options(lines: list[str], required: frozenset[str]) -> Iterator[ScriptOption]:
    for entry in list(_entries(lines)):  # whole: what goes on is added to an entry later
        option = _option(entry, required)
        if option is not None and option.name not in ("help", "h", "version"):
            yield option


def _entries(lines: list[str]) -> Iterator[_HelpEntry]:
    """The entries of all sections: what is indented deeper goes on with the one above."""
    current: _HelpEntry | None = None
    section = ""
    for line in lines:
        text = line.strip()
        indent = len(line) - len(line.lstrip())
        title = text.rstrip(":").lower()
        if title in _SECTIONS:
            section = title
            current = None
        elif not text or (indent == 0 and _SECTION.fullmatch(text)):
            section = "" if text else section
            current = None if text else current
        elif text.lstrip("* ").startswith("-") and not text.lower().startswith("usage"):
            current = _HelpEntry(text, indent, section)
            yield current
        elif current is not None and indent > current.indent:
            current.help.append(text)
        elif section.endswith("arguments") and section != "optional arguments" and indent:
            current = _HelpEntry(text, indent, section)
            yield current


def _option(entry: _HelpEntry, required: frozenset[str]) -> ScriptOption | None:
    starred = entry.head.startswith("*")
    cells = re.split(r"\s{2,}", entry.head.lstrip("* "))
    flag_cells = []
    while cells and cells[0].startswith("-"):
        flag_cells.append(cells.pop(0))
    head = "  ".join(flag_cells)
    flags = _FLAG.findall(head)
    if not flags and (not entry.section.endswith("arguments") or not cells):
        return None
    if not flags:
        return _argument(cells, entry, starred=starred)
    shown = (
        re.sub(r"[,/]", " ", _FLAG.sub(" ", head))
        if not re.search("[{<[]", head)
        else (_FLAG.sub(" ", head))
    )
    meta = " ".join(dict.fromkeys(shown.replace(", ", " ").split()))
    if not meta and cells and _TYPE.fullmatch(cells[0]) and len(cells) > 1 - bool(entry.help):
        meta = cells.pop(0)
    return _named(flags, meta, " ".join([*cells, *entry.help]), required, starred=starred)


def _argument(cells: list[str], entry: _HelpEntry, *, starred: bool) -> ScriptOption:
    name, *rest = cells
    text = " ".join([*rest, *entry.help])
    choices = _CHOICES.fullmatch(name)
    return ScriptOption(
        name.strip("{}[]").lower() if not choices else "argument",
        "text",
        required=starred or "[required]" in text or entry.section == "positional arguments",
        positional=True,
        help=_one_line(text),
    )


def _named(
    flags: list[str], meta: str, text: str, required: frozenset[str], *, starred: bool
) -> ScriptOption:
    long = [flag for flag in flags if flag.startswith("--")] or flags
    name = long[0].lstrip("-")
    found = _CHOICES.search(meta)
    choices = tuple(dict.fromkeys(re.split("[,|]", found[1]))) if found else ()
    several = "..." in meta
    default = _default(text)
    bounds = _RANGE.search(meta) or _RANGE.search(text)
    return ScriptOption(
        name,
        _kind(meta, choices, default),
        default=default,
        choices=choices,
        low=float(bounds[1]) if bounds else None,
        high=float(bounds[2]) if bounds else None,
        required=starred or "[required]" in text or not required.isdisjoint(flags),
        several=several,
        negated=f"--no-{name}" in flags,
        help=_one_line(text),
    )


def _required_words(usage: str) -> frozenset[str]:
    """What argparse shows in its usage without brackets: the options that it needs, above all."""
    bare, depth = [], 0
    for char in usage if usage.startswith("usage:") else "":
        depth += (char == "[") - (char == "]")
        bare.append(char if depth == 0 else " ")
    return frozenset("".join(bare).split())


def _default(text: str) -> Any:
    found = _DEFAULT.search(text)
    if found is None:
        return None
    raw = found[1].strip().strip("'\"")
    if raw.lower() in ("none", "null", ""):
        return None
    return _scalar(raw)


def _scalar(raw: str) -> Any:
    if raw.lower() in ("true", "false"):
        return raw.lower() == "true"
    try:
        return int(raw) if re.fullmatch(r"-?\d{1,15}", raw) else float(raw)
    except ValueError:
        return raw


def _kind(meta: str, choices: tuple[str, ...], default: Any) -> OptionKind:
    words = set(re.sub(r"[\[\]<>]", " ", meta).lower().split())
    if choices:
        return "choice"
    if not meta or "bool" in words or isinstance(default, bool):
        return "bool"
    if words & _FLOATS:
        return "float"
    if words & _INTS:
        return "int"
    if isinstance(default, float):
        return "float"
    return "int" if isinstance(default, int) else "text"


def _one_line(text: str) -> str:
    return " ".join(text.split())[:160]


def _read_hydra(text: str) -> ScriptHelp:
    """Of Hydra: the configuration, flat, and its groups."""
    groups = dict(_hydra_groups(text.partition("== Configuration groups ==")[2].partition("==")[0]))
    config = text.partition("== Config ==")[2].rpartition("Powered by Hydra")[0]
    config = config.partition("\n\n")[2] or config
    try:
        root, _ = parse(config)
        data = to_data(root)
    except YamlError:
        data = {}
    options = [
        ScriptOption(name, "choice", default=None, choices=choices, help="a configuration group")
        for name, choices in groups.items()
        if len(choices) > 1 and "/" not in name
    ]
    searched = {option.name for option in options}
    for name, value in _flat(data if isinstance(data, Mapping) else {}):
        if name.partition(".")[0] not in searched:
            options.append(_hydra_option(name, value))
    return ScriptHelp("Hydra", tuple(options))


def _hydra_groups(text: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    for line in text.splitlines():
        found = _GROUP.fullmatch(line.strip())
        if found:
            yield found[1], tuple(found[2].split(", "))


def _flat(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in data.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _hydra_option(name: str, value: Any) -> ScriptOption:
    if value == "???":
        return ScriptOption(name, "text", required=True)
    kinds: dict[type, OptionKind] = {bool: "bool", int: "int", float: "float"}
    kind = kinds.get(type(value), "text")
    return ScriptOption(name, kind, default=value, several=isinstance(value, list))
