"""The command `podmap`: its verbs, loaded when asked for, and the border where errors end."""

from __future__ import annotations

import importlib
import keyword
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from podmap._version import __version__
from podmap.cli._output import print_error
from podmap.cli._streams import DATA_LOST, StandardStreams, folder_is_gone, reader_is_gone
from podmap.errors import PodmapError, Problem, SpecError, UsageError

BUG = "this is a bug in podmap: please report it with the lines above"
FOLDER_GONE = "the working folder does not exist any more: go to one that does, with cd"

VERBS: Mapping[str, str] = {
    "demo": "Run a small sweep that comes with podmap, to see one.",
    "doctor": "Say what would go wrong with sweeps here.",
    "run": "Run a sweep, as local processes or as pods.",
    "resume": "Go on with a run that was interrupted or killed.",
    "init": "Write a first spec of a script, from its --help.",
    "plan": "Show the trials of a spec, and what they will take.",
    "render": "Show exactly what one trial would run.",
    "ls": "List the runs of a store.",
    "status": "Show how far a run is.",
    "results": "Show the leaderboard of a run.",
    "compare": "Show runs side by side.",
    "ui": "Show the runs of a store in a browser.",
    "export": "Write the trials of a run for other tools.",
    "logs": "Show the output of a trial.",
    "set": "Change how a run goes on, while it does.",
    "pause": "Start no new attempts of a run for now.",
    "unpause": "Start new attempts of a run again.",
    "stop": "Start no new trials of a run any more; it ends with a leaderboard.",
    "retry": "Run failed trials again, in a run that goes on or has ended.",
    "extend": "Have the search of a run go on, with more trials or another space.",
    "add": "Add trials to a run that goes on or has ended.",
    "report": "Write a run's report anew, and say where it is.",
    "reset": "Forget trials of a run, so that they are run again.",
    "repair": "Say what is wrong with a run after a death, and mend it.",
    "clean": "Delete a run, and end what still runs of it.",
    "import": "Make a spec of a sweep of Katib or W&B.",
    "schema": "Print the JSON Schema of the spec.",
    "lint-dag": "Find what Airflow 3 breaks or ignores in DAG files.",
    "completion": "Print the script for tab completion.",
}
"""Verb to its one line in `podmap --help`, so that the help needs none of their modules."""

HELP = """Large ML sweeps: many trials of one training command, and a leaderboard.

A spec (a YAML file) says what to try, how to run it and what counts as good. A run of it keeps
a record of every trial in a store: ~/.podmap/runs, or what --store or PODMAP_STORE say.

\b
  podmap demo                     see a sweep run, in seconds
  podmap plan sweep.yaml          what would be tried
  podmap run sweep.yaml           run it, and print the leaderboard
  podmap results RUN              print the leaderboard again

What a command prints on standard output is data (with --json, JSON); all talk goes to
standard error. RUN is a run's id, the first characters of it, or its URI.

\b
Exit codes: 0 ok; 1 trials failed beyond the allowance, or another error;
2 wrong spec or usage; 3 the store or cluster cannot be reached, or the output be written;
130 after Ctrl-C; 143 after SIGTERM; 129 after SIGHUP.
"""


def module_of(verb: str) -> str:
    """The name of the module that holds a verb."""
    name = verb.replace("-", "_")
    return f"podmap.cli.{name}_" if keyword.iskeyword(name) else f"podmap.cli.{name}"


class Verbs(click.Group):
    """The group of verbs; a verb's module is imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All verbs, in the order they are met."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb of this name; None if there is none."""
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(module_of(cmd_name))
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the list of verbs without loading them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """The verbs that begin so, without loading them."""
        from click.shell_completion import CompletionItem

        verbs = [
            CompletionItem(verb, help=line)
            for verb, line in VERBS.items()
            if verb.startswith(incomplete)
        ]
        return verbs + click.Command.shell_complete(self, ctx, incomplete)


@click.group(cls=Verbs, help=HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="podmap", message="%(prog)s %(version)s")
def podmap() -> None:
    """The group itself does nothing."""


def main(args: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code. The border where every error ends.

    Args:
        args: The arguments; None for those of this process.
    """
    given = list(sys.argv[1:] if args is None else args)
    streams = StandardStreams()
    try:
        code = _run(given, as_json="--json" in given)
        lost = streams.finish()
        if lost is None:
            return code
        if not reader_is_gone(lost):
            click.echo(f"podmap: cannot write to standard output: {lost.strerror}", err=True)
        return DATA_LOST if code in (0, 1) else code
    finally:
        streams.give_back()


def _run(given: list[str], *, as_json: bool) -> int:
    try:
        code = podmap.main(given, prog_name="podmap", standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):
        click.echo("podmap: interrupted", err=True)
        if as_json:
            print_error("interrupted", 130)
        return 130
    except click.ClickException as error:
        return _usage(error, as_json=as_json)
    except PodmapError as error:
        return _refuse(error, as_json=as_json)
    except Exception as error:  # the border: what nobody foresaw
        if folder_is_gone():
            return _refuse(UsageError(FOLDER_GONE), as_json=as_json)
        import traceback

        traceback.print_exc()
        click.echo(BUG, err=True)
        if as_json:
            print_error(f"{type(error).__name__}: {error}; {BUG}", 1)
        return 1
    return code if isinstance(code, int) else 0


def _usage(error: click.ClickException, *, as_json: bool) -> int:
    error.show(sys.stderr)
    if as_json:
        print_error(error.format_message(), 2)
    return 2


def _refuse(error: PodmapError, *, as_json: bool) -> int:
    problems = error.problems if isinstance(error, SpecError) else []
    lines = str(error).splitlines() or [type(error).__name__]
    for line in lines:
        click.echo(line if problems else f"podmap: {line}", err=True)
    if problems:
        count = len(problems)
        click.echo(f"podmap: {count} problem{'s' if count > 1 else ''} in the spec", err=True)
    if as_json:
        source = error.source if isinstance(error, SpecError) else ""
        shown = [_problem(problem, source) for problem in problems]
        print_error(str(error), error.exit_code, **({"problems": shown} if shown else {}))
    return error.exit_code


def _problem(problem: Problem, source: str) -> dict[str, Any]:
    return {
        "source": problem.source or source,
        "line": problem.line,
        "column": problem.column,
        "path": problem.path,
        "message": problem.message,
        "hint": problem.hint,
    }


if __name__ == "__main__":
    sys.exit(main())
