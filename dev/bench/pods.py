"""Pods: the stock operator, podmap and a bare Indexed Job on one cluster, in one table.

Rows are KIND, or KIND:TRIALSxSECONDS@PARALLELISM for other sizes than the usual. For each the
table has: makespan; what the pods alone took (first pod seen to last container's end seen); CPU
time of all Airflow processes (user and system, live and reaped); requests to the Kubernetes API
of the row's own account, from the audit log; hand-over of a slot, from a trial's end to the next
one's start by the trials' own clock (median/p95/max; a trial starts after its container does), and
what of it is beyond the bare Job's; refill, from a container's end to the next gate's removal as a
watch of the benchmark's own sees them; peak memory of all Airflow processes.

Of the row `executor` the workers' pods, which are Airflow too, count in no figure but makespan.
Each Airflow row has an Airflow and a PostgreSQL of its own, in which a small run goes before the
one that is measured. Needs dev/cluster (root) and PostgreSQL's server programs. Compare figures of
one run only.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.on_cluster.place import BenchError, cluster_up
from bench.on_cluster.rows import KINDS, Bench, Measured, measure
from bench.on_cluster.sources import Size
from bench.on_cluster.table import lines
from local_airflow import AirflowError

SHORT, LONG, MANY, THOUSANDS = Size(24, 5, 6), Size(24, 20, 8), Size(200, 5, 40), Size(2000, 2, 500)
SIZES = {
    "job": (SHORT, LONG, MANY),
    "stock": (SHORT,),
    "stock-deferrable": (LONG,),
    "podmap": (LONG, MANY),
    "operator": (SHORT,),
    "operator-deferrable": (LONG,),
    "executor": (LONG,),
    "cli": (LONG, MANY),
    "fake": (THOUSANDS,),
    "fake-cli": (THOUSANDS,),
}
ROW = re.compile(r"([a-z-]+)(?::(\d+)x(\d+(?:\.\d+)?)s?@(\d+))?")


def asked_for(text: str) -> list[tuple[str, Size]]:
    """The rows that a word of the command line names.

    Raises:
        argparse.ArgumentTypeError: It names none.
    """
    match = ROW.fullmatch(text)
    if match is None or match[1] not in KINDS:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not KIND or KIND:TRIALSxSECONDS@PARALLELISM, such as podmap:24x20@8, "
            f"with KIND one of {', '.join(KINDS)}"
        )
    if match[2] is None:
        return [(match[1], size) for size in SIZES[match[1]]]
    return [(match[1], Size(int(match[2]), float(match[3]), int(match[4])))]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "rows", nargs="*", metavar="ROW", type=asked_for, help="(default: all kinds)"
    )
    parser.add_argument("--json", type=Path, help="a file to write all figures to, row by row")
    options = parser.parse_args()
    rows = [row for named in options.rows or map(asked_for, SIZES) for row in named]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.monotonic()
    measured: list[Measured] = []
    try:
        with cluster_up() as cluster:
            for kind, size in rows:
                measured.append(measure(Bench(cluster, say), kind, size))
                if options.json:
                    options.json.write_text(json.dumps([asdict(row) for row in measured], indent=1))
                say(f"{len(measured)} of {len(rows)} rows after {time.monotonic() - began:.0f} s")
    except (AirflowError, BenchError) as error:
        say(str(error))
        return 3
    finally:
        if measured:
            print("\n".join(lines(measured)))
    return 1 if any(row.problem for row in measured) else 0


def say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
