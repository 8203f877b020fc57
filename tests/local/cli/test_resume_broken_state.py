"""A run whose `run.json` cannot be understood: it is told, and nothing else suffers."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest


@pytest.mark.parametrize(
    "what", [b'{"parallelism": "many"}', b"{", None], ids=["kind", "cut", "FIFO"]
)
def test_a_run_is_entered_and_goes_on_to_its_end(cli: Any, what: bytes | None) -> None:
    assert 0 == cli("run", cli.spec()).code
    run, (state,) = cli.run_id(), cli.store.glob("*/*/run.json")
    state.unlink()
    os.mkfifo(state) if what is None else state.write_bytes(what)
    for args in (["ls"], ["status", run], ["results", run], ["logs", run, "1"], ["report", run]):
        assert 0 == cli(*args).code, args
    if what is not None:
        state.write_bytes(what)  # the report has ended it anew
    listed = cli("ls", "--columns", "trials")
    if what is not None:
        assert f"left out: {state}" in listed.err
    assert ["TRIALS", "4"] == listed.out.split()
    assert 0 == cli("reset", run, "1", "--yes").code
    if what is not None:
        state.write_bytes(what)
    resumed = cli("resume", run)
    assert (0, "") == (resumed.code, cli("ls").err)
    assert {"COMPLETE"} == {record["state"] for record in cli.records().values()}


@pytest.mark.parametrize(
    "name", ["summary.json", "leaderboard.csv", "report.html", "logs/1-a1.log"]
)
def test_no_verb_waits_for_a_pipe_in_a_run(cli: Any, name: str) -> None:
    assert 0 == cli("run", cli.spec()).code
    run, (path,) = cli.run_id(), cli.store.glob(f"*/*/{name}")
    path.unlink()
    os.mkfifo(path)
    for args in (["ls"], ["status", run], ["results", run], ["logs", run, "0"], ["report", run]):
        assert 0 == cli(*args).code, args
    listed = cli("ls", "--columns", "trials,complete")
    assert ["TRIALS", "COMPLETE", "4", "4"] == listed.out.split()
    odd = cli("logs", run, "1")
    assert (0 if name != "logs/1-a1.log" else 1) == odd.code
    assert "Traceback" not in odd.err


@pytest.mark.parametrize("what", ["params", "seed", "shard"])
def test_a_record_does_not_say_what_a_trial_runs_with(cli: Any, what: str) -> None:
    """Whoever writes the store writes records, too; what was planned is the manifest's to say."""
    assert 0 == cli("run", cli.spec()).code
    (path,) = cli.store.glob("*/*/trials/1.json")
    data = json.loads(path.read_text())
    planned = {"params": data["params"], "seed": data["seed"], "shard": data["shard"]}
    forged = {
        "params": {"x": 999},
        "seed": 7,
        "shard": {"uri": "/etc/passwd", "name": "x", "index": 0},
    }
    data.update({what: forged[what], "state": "RUNNING", "finished": None, "metrics": {}})
    path.write_text(json.dumps(data))
    assert 0 == cli("resume", cli.run_id()).code
    now = cli.records()[1]
    assert planned == {name: now[name] for name in planned}
    assert {"y": 1} == now["metrics"]
