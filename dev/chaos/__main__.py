"""The chaos suite: faults while a real Airflow runs a sweep of pods, and what became of it.

Each fault is injected in the middle of a sweep of 60 trials, 20 at once, of which some fail by
themselves. After each run it is seen from outside whether every trial has its one right record with
every attempt in it, whether the limit was kept, whether anything ran twice, and what is left
behind. A fault that does harm once counts as one that does harm.
"""

from __future__ import annotations

import argparse
import itertools
import json
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.on_cluster.place import BenchError
from chaos.faults import FAULTS, Fault
from chaos.inputs import try_inputs
from chaos.play import play
from chaos.scene import scene
from chaos.sweep import Size
from chaos.table import lines, text
from chaos.verdict import Verdict
from local_airflow import AirflowError

# Two at a time: what the other might hide, or make worse.
IN_PAIRS = ("triggerer", "postgres", "kube-apiserver", "api-5xx", "pods-deleted", "s3-5xx")
CASES = 100_000


def say(words: str) -> None:
    print(f"chaos: {words}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str]) -> int:
    """Runs what is asked for; 1 if anything did not survive."""
    options = _options(arguments)
    if options.list:
        for fault in FAULTS.values():
            print(f"{fault.name:24} {fault.what}")
        return 0
    if options.inputs:
        return try_inputs(options.inputs)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    plays = list(_plays(options))
    size = Size(options.trials, options.parallelism, options.seconds)
    verdicts: list[Verdict] = []
    try:
        with_s3 = any(fault.by == "s3" for faults in plays for fault in faults)
        made = scene(size, with_s3=with_s3, with_airflow=not options.command, fake=options.fake)
        with made as here:
            for faults in plays:
                verdict = play(here, *faults, by_command=options.command)
                verdicts.append(verdict)
                _tell(verdict)
    except (AirflowError, BenchError, OSError) as error:
        say(f"cannot go on: {error}")
        return 3
    except KeyboardInterrupt:
        say("interrupted: the table is of what was done")
    finally:
        rows = lines(verdicts)
        if options.json:
            done = [asdict(verdict) for verdict in verdicts]
            print(json.dumps({"faults": [asdict(row) for row in rows], "runs": done}, indent=1))
        else:
            print(text(rows))
    return 0 if all(verdict.survived for verdict in verdicts) else 1


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("faults", nargs="*", help="names; a+b for two at a time (default: all)")
    parser.add_argument("--list", action="store_true", help="list the faults and end")
    parser.add_argument("--runs", type=int, default=5, help="runs of each fault (default: 5)")
    parser.add_argument("--pairs", action="store_true", help="also the pairs of the gravest faults")
    parser.add_argument(
        "--command",
        action="store_true",
        help="have `podmap run` run the sweep, without an Airflow; only for what is not Airflow's",
    )
    parser.add_argument(
        "--fake",
        action="store_true",
        help="as --command, with pods on a fake cluster: what needs no Kubernetes, in minutes",
    )
    parser.add_argument(
        "--inputs",
        type=int,
        nargs="?",
        const=CASES,
        metavar="CASES",
        help=f"no faults: the property tests, with so many cases each (default: {CASES:,})",
    )
    parser.add_argument("--json", action="store_true", help="everything as JSON on standard output")
    parser.add_argument("--trials", type=int, default=Size.trials)
    parser.add_argument("--parallelism", type=int, default=Size.parallelism)
    parser.add_argument("--seconds", type=float, default=Size.work_s, help="what a trial takes")
    options = parser.parse_args(arguments)
    unknown = [n for name in options.faults for n in name.split("+") if n not in FAULTS]
    if unknown:
        parser.error(f"there is no fault {', '.join(unknown)}; --list names them all")
    options.command = options.command or options.fake
    named = [FAULTS[n] for name in options.faults for n in name.split("+")]
    if refused := [each.name for each in named if not _possible(each, options)]:
        parser.error(f"that is not possible without Airflow or Kubernetes: {', '.join(refused)}")
    return options


def _possible(fault: Fault, options: argparse.Namespace) -> bool:
    if options.fake and (fault.cluster or fault.by == "s3"):
        return False
    return not (options.command and fault.airflow)


def _plays(options: argparse.Namespace) -> Iterator[tuple[Fault, ...]]:
    names = options.faults or [name for name in FAULTS if _possible(FAULTS[name], options)]
    if options.pairs:
        names += ["+".join(pair) for pair in itertools.combinations(IN_PAIRS, 2)]
    for name in names:
        faults = tuple(FAULTS[each] for each in name.split("+"))
        yield from itertools.repeat(faults, options.runs)


def _tell(verdict: Verdict) -> None:
    say(
        f"{verdict.fault}: {'survived' if verdict.survived else 'NOT SURVIVED'}"
        f" in {verdict.seconds} s, {verdict.attempts} attempts"
    )
    for kind in ("lost", "doubled", "left"):
        for what in getattr(verdict, kind)[:10]:
            say(f"  {kind}: {what}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
