"""podmap logs: the output of a trial."""

from __future__ import annotations

import codecs
import io
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from podmap.cli._options import (
    FIND_STORE,
    JSON,
    KUBECONFIG,
    RUN,
    example,
    open_run,
)
from podmap.cli._output import print_json
from podmap.cli._streams import end_unless_read

if TYPE_CHECKING:
    from podmap.ledger.ledger import Ledger
    from podmap.ledger.manifest import Manifest

EXAMPLES = example("""
podmap logs 3f9a12c0 7
podmap logs 3f9a 7 --attempt 1
podmap logs 3f9a 7 -f
""")
TAIL_BYTES = 64 * 1024


@click.command(
    name="logs",
    help=f"""Show what trial number TRIAL of RUN printed: the last 64 KiB, or all of it.

All of it is shown where the spec says `logs: {{keep: full}}`, up to the limit that it sets, once
the attempt has ended.

If the trial runs now, on this host or as a pod, it is what it has printed so far. If it failed,
why, and what to do about it, follows on standard error.

{EXAMPLES}""",
    short_help="Show the output of a trial.",
)
@RUN
@click.argument("trial", type=click.IntRange(min=0))
@click.option(
    "--attempt", type=click.IntRange(min=1), help="Which attempt, from 1.  [default: the last]"
)
@click.option(
    "-f",
    "--follow",
    "follows",
    is_flag=True,
    help="Go on until the trial has ended, from attempt to attempt; or until --attempt has.",
)
@KUBECONFIG
@FIND_STORE
@JSON
def command(
    run: str,
    trial: int,
    attempt: int | None,
    follows: bool,
    kubeconfig: str | None,
    store: str | None,
    as_json: bool,
) -> None:
    """Shows a log."""
    from podmap.report.words import state_text

    ledger, manifest = open_run(run, store)
    manifest.check_number(trial)
    if follows:
        _follow(ledger, manifest, trial, attempt, kubeconfig=kubeconfig, as_json=as_json)
        return
    data, log = _read_attempt(ledger, manifest, trial, attempt, kubeconfig)
    if as_json:
        print_json({**data, "log": log.decode("utf-8", "replace")})  # its end
        return
    about = f"trial {trial} of {manifest.run_id}: {state_text(data['state'])}"
    if data["attempt"]:
        about += f", attempt {data['attempt']} of {data['attempts']}"
    click.echo(about, err=True)
    output = _Output()
    if data["kept"] == "full":
        log = _print_whole(ledger, trial, data["attempt"], log, output)
    else:
        output.write(log)
    output.write(b"", last=True)
    explained = _explanation(data, log)
    if explained and log and not log.endswith(b"\n"):
        click.echo(err=True)
    for line in explained:
        click.echo(line, err=True)


def _print_whole(ledger: Ledger, number: int, attempt: int, tail: bytes, output: _Output) -> bytes:
    """Prints all that is kept of an attempt's output, piece by piece; the end of it."""
    from podmap.engine.log_pieces import read_pieces

    last = b""
    for piece in read_pieces(ledger, number, attempt):
        output.write(piece)
        last = (last + piece)[-TAIL_BYTES:]
    if not last.endswith(tail):
        click.echo("podmap: beyond logs.limit; the last 64 KiB are:", err=True)
        output.write(tail)
    return tail or last


class _Output:
    """Prints what a trial has: as it is where a program reads it, made safe where a person does."""

    def __init__(self) -> None:
        utf_8 = codecs.getincrementaldecoder("utf-8")("replace")
        # A character or a line's end may come in two pieces; a progress bar's \r ends a line, too.
        self._text = io.IncrementalNewlineDecoder(utf_8, translate=True)

    def write(self, output: bytes, *, last: bool = False) -> None:
        """Prints what comes next; what is not whole yet only with what follows, or as the last."""
        sys.stdout.flush()
        if sys.stdout.isatty():
            click.echo(self._text.decode(output, final=last), nl=False)
        else:
            sys.stdout.buffer.write(output)
            sys.stdout.buffer.flush()


def _follow(
    ledger: Ledger,
    manifest: Manifest,
    number: int,
    attempt: int | None,
    *,
    kubeconfig: str | None,
    as_json: bool,
) -> None:
    """Prints what a trial prints until it has ended, and why it has failed, if it has."""
    from podmap.cli._follow import TrialFollower
    from podmap.errors import UsageError

    if as_json:
        raise UsageError("-f prints output as it comes, which is no JSON: leave out --json")

    output = _Output()

    def write(piece: bytes) -> None:
        output.write(piece)
        end_unless_read()

    def pause(seconds: float) -> None:
        end_unless_read()
        time.sleep(seconds)

    follower = TrialFollower(
        ledger,
        manifest,
        number,
        kubeconfig=kubeconfig,
        write=write,
        say=lambda line: click.echo(line, err=True),
        pause=pause,
    )
    follower.follow(attempt)
    output.write(b"", last=True)
    data, log = _read_attempt(ledger, manifest, number, attempt, kubeconfig)
    for line in _explanation(data, log):
        click.echo(line, err=True)


def _explanation(data: dict[str, Any], log: bytes) -> list[str]:
    """Why the attempt did not end well, what was seen, and what to do."""
    diagnosis = data["diagnosis"]
    if diagnosis is None:
        return [data["reason"]] if data["reason"] else []
    lines = [f"{diagnosis['category']}: {diagnosis['summary']}"]
    detail = diagnosis["detail"].strip()
    seen = " ".join(log.decode("utf-8", "replace").split()) + diagnosis["summary"]
    if detail and " ".join(detail.split()) not in seen:
        lines.append(detail)
    if diagnosis["resolution"]:
        lines.append(f"what to do: {diagnosis['resolution']}")
    return lines


def _read_attempt(
    ledger: Ledger, manifest: Manifest, number: int, attempt: int | None, kubeconfig: str | None
) -> tuple[dict[str, Any], bytes]:
    """What there is to say of the attempt, and its output."""
    from podmap.engine.log_pieces import is_whole
    from podmap.engine.run_attempts import list_attempts, read_output
    from podmap.errors import UsageError

    record = ledger.read_record(number)
    kept = {one.number: one for one in ledger.attempts(number)}
    ended = record is not None and record.state.terminal
    found = [] if ended else list_attempts(manifest, kubeconfig=kubeconfig)
    live = {one.attempt: one for one in found if one.number == number}
    known = sorted({*kept, *live})
    chosen = attempt if attempt is not None else max(known, default=None)
    if attempt is not None and attempt not in known:
        raise UsageError(
            f"trial {number} has no attempt {attempt}; "
            + (f"it has {', '.join(map(str, known))}" if known else "none has started yet")
        )
    log, source = b"", "none"
    if chosen in kept:
        log, source = ledger.read_log(number, chosen) or b"", "ledger"
    elif chosen in live:
        name = live[chosen].name
        log = read_output(manifest, name, max_bytes=TAIL_BYTES, kubeconfig=kubeconfig)
        source = "live"
    diagnosis = kept[chosen].diagnosis if chosen in kept else None
    data = {
        "run_uri": ledger.run_uri,
        "trial": number,
        "state": record.state.value if record else "WAITING",
        "attempt": chosen,
        "attempts": len(known),
        "source": source,
        "kept": "full" if chosen in kept and is_whole(ledger, number, chosen) else "tail",
        "reason": diagnosis.summary if diagnosis else record.reason if record else "",
        "diagnosis": diagnosis.to_json() if diagnosis else None,
    }
    return data, log
