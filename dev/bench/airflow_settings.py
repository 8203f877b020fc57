"""What Airflow's settings do to a sweep: `airflow_throughput` once a setting, as a table.

Airflow is started anew for each, so that it takes a minute or two a row. Compare rows of one run
with each other only. `--only NAME` measures the rows whose name holds this.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from airflow_throughput import Measured, measure, parser, setting

DEFAULTS = ("dag_processor.min_file_process_interval=30", "dag_processor.refresh_interval=300")
"""Airflow's own, which `LocalAirflow` shortens for tests."""
AS_IT_IS = "Airflow's defaults"
SETTINGS = (
    AS_IT_IS,
    "dag_processor.max_callbacks_per_loop=500",
    "dag_processor.min_file_process_interval=5",
    "dag_processor.parsing_pre_import_modules=False",
    "triggerer.capacity=20",
    "core.parallelism=32",
    "scheduler.max_tis_per_query=256",
    "scheduler.scheduler_idle_sleep_time=0.1",
)
PROCESSES = ("scheduler", "dag-processor", "triggerer", "api-server")


def main() -> int:
    options_of = parser()
    options_of.set_defaults(trials=200, parallelism=50)
    options_of.add_argument("--only", default="", metavar="NAME")
    options = options_of.parse_args()
    print(f"{options.trials} trials of {options.sleep:g} s, {options.parallelism} at once")
    heads = ("setting", "span", "parses", *(f"{name} CPU-s" for name in PROCESSES))
    print(f"| {' | '.join(heads)} |", flush=True)
    for text in SETTINGS:
        if options.only in text:
            chosen = DEFAULTS if text == AS_IT_IS else (*DEFAULTS, text)
            print(row(text, measure(options, dict(map(setting, chosen)))), flush=True)
    return 0


def row(name: str, found: Measured) -> str:
    """A setting's line of the table."""
    cpu_s = (f"{found.cpu_s[process]:.1f}" for process in PROCESSES)
    return f"| {name} | {found.span_s:.1f} s | {found.parses} | {' | '.join(cpu_s)} |"


if __name__ == "__main__":
    sys.exit(main())
