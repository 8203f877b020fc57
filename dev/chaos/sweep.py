"""The sweep that is disturbed: what its trials do, and what must come of them whatever happens."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAME = "chaos"
FAIL_ALWAYS, FAIL_ONCE, SPEAK = 3, 7, 4
USER_RETRIES = 1

SCRIPT = """\
n=$1; work_s=$2
echo "start $PODMAP_TRIAL $PODMAP_ATTEMPT" >>/marks/lines
sleep "$work_s"
echo "trial $n worked"
case "$n" in
  *3) echo "n ends with 3"; exit 1 ;;
  *7) [ "$PODMAP_ATTEMPT" = 1 ] && exit 1 ;;
esac
score=$(( n * 7 % 61 ))
if [ $(( n % 4 )) = 0 ]; then
  echo "podmap: {\\"final\\": {\\"score\\": $score}}"
else
  echo "{\\"score\\": $score}" >"$PODMAP_RESULT"
fi
"""
"""Trials with numbers that end with 3 always fail, those that end with 7 the first time; each
fourth says its result on its output, where it is lost with the log."""


@dataclass(frozen=True)
class Size:
    """How large the sweep is.

    Attributes:
        trials: How many.
        parallelism: How many at once.
        work_s: What each takes.
    """

    trials: int = 60
    parallelism: int = 20
    work_s: float = 4.0

    def expected(self, number: int) -> tuple[str, float | None]:
        """A trial's state and score at the end."""
        if number % 10 == FAIL_ALWAYS:
            return "FAILED", None
        return "COMPLETE", number * 7 % 61

    def user_failures(self, number: int) -> tuple[int, int]:
        """The least and the most attempts of a trial that fail by its own fault."""
        if number % 10 == FAIL_ALWAYS:
            return 1 + USER_RETRIES, 1 + USER_RETRIES
        # The first attempt may have been lost before it could fail.
        return (0, 1) if number % 10 == FAIL_ONCE else (0, 0)

    def board(self) -> list[tuple[int, float]]:
        """Number and score of the trials that are ranked, best first."""
        scores = ((n, self.expected(n)[1]) for n in range(self.trials))
        ranked = [(n, score) for n, score in scores if score is not None]
        return sorted(ranked, key=lambda each: (-each[1], each[0]))

    def spec(self, *, marks: Path, image: str, store: str = "") -> str:
        """The spec, in JSON, which is YAML."""
        pod = {
            "terminationGracePeriodSeconds": 1,
            "volumes": [{"name": "marks", "hostPath": {"path": str(marks)}}],
            "containers": [
                {"name": "trial", "volumeMounts": [{"name": "marks", "mountPath": "/marks"}]}
            ],
        }
        spec: dict[str, Any] = {
            "apiVersion": "podmap/v1",
            "name": NAME,
            "search": {
                "kind": "grid",
                "params": {"n": {"low": 0, "high": self.trials - 1}},
            },
            "objective": {"metric": "score", "direction": "maximize"},
            "trial": {
                "image": image,
                "command": ["sh", "-c", SCRIPT, "trial"],
                "args": ["{params.n}", str(self.work_s)],
                "pod": {"spec": pod},
            },
            "parallelism": self.parallelism,
            "retries": {"user": USER_RETRIES, "infra": 10},
            "failures": {"allow": "20%", "same": 0},
        }
        if store:
            spec["store"] = store
        return json.dumps(spec, indent=1)
