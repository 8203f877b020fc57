"""What a DAG file with one sweep costs beyond `import airflow.sdk`, each in a fresh Python.

Prints milliseconds (median of the runs): of importing airflow.sdk, of a plain DAG file with three
operators on top of it, and of a DAG file with one sweep on top of it.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys

PROGRAM = """
import time
import airflow.sdk
began = time.perf_counter()
{body}
print((time.perf_counter() - began) * 1e3)
"""
PLAIN = """
from airflow.sdk import DAG, BaseOperator, TaskGroup
with DAG("plain", schedule=None):
    with TaskGroup("group"):
        a, b, c = (BaseOperator(task_id=name) for name in "abc")
        a >> b >> c
"""
SWEEP = """
from airflow.sdk import DAG
from podmap.airflow import sweep
with DAG("one", schedule=None):
    sweep("sweep.yaml")
"""


def milliseconds(body: str) -> float:
    program = PROGRAM.format(body=body)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    return float(done.stdout.split()[-1])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()
    bodies = {"plain DAG file": PLAIN, "DAG file with one sweep": SWEEP}
    figures: dict[str, list[float]] = {name: [] for name in bodies}
    for _ in range(options.runs):
        for name, body in bodies.items():
            figures[name].append(milliseconds(body))
    print(f"| beyond import airflow.sdk | {'min':>7} | {'median':>7} | {'max':>7} |")
    for name, values in figures.items():
        low, middle, high = min(values), statistics.median(values), max(values)
        print(f"| {name:25} | {low:4.0f} ms | {middle:4.0f} ms | {high:4.0f} ms |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
