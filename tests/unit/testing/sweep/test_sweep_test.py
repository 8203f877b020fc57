"""SweepTest: a sweep is planned, made into pods and run with failures, without a cluster."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import podmap_trial
from podmap.cli.render import command as render
from podmap.testing import SweepTest, fail
from podmap.testing.sweep.fail import Failure


def spec(**changes: Any) -> dict[str, Any]:
    return {
        "apiVersion": "podmap/v1",
        "name": "small",
        "search": {"kind": "grid", "params": {"lr": [0.1, 0.2, 0.3, 0.4]}},
        "objective": {"metric": "accuracy", "direction": "maximize"},
        "trial": {
            "image": "train:1",
            "command": ["python", "train.py"],
            "args": ["--lr={params.lr}", "--output", "{trial.result}"],
            "resources": {"memory": "16Gi"},
            "env": {"TOKEN": {"secret": "hf", "key": "token"}, "THREADS": "4"},
            "timeout": "1h",
        },
        "parallelism": 2,
        **changes,
    }


def learn(params: dict[str, Any]) -> dict[str, float]:
    return {"accuracy": params["lr"]}


def test_all_that_is_wrong_with_a_spec_is_in_the_assertion() -> None:
    with pytest.raises(AssertionError) as failed:
        SweepTest(spec(parallelism=0, name="No Name"))
    assert "parallelism" in str(failed.value)
    assert "'No Name'" in str(failed.value)


def test_a_file_is_named_with_the_line_that_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "sweep.yaml"
    file.write_text("apiVersion: podmap/v1\nname: x\nparallel: 3\n")
    with pytest.raises(AssertionError, match=r"sweep\.yaml:3:1: parallel: .*parallelism"):
        SweepTest(file)


def test_what_cannot_be_run_yet_fails() -> None:
    with pytest.raises(AssertionError, match="pack: 4 is not yet supported"):
        SweepTest(spec(pack=4))


def test_trials_and_pods_are_those_of_the_spec() -> None:
    sweep = SweepTest(spec(), overrides={"trial.pod": {"spec": {"nodeSelector": {"pool": "gpu"}}}})
    pods = sweep.pods()

    assert [0.1, 0.2, 0.3, 0.4] == [trial.params["lr"] for trial in sweep.trials]
    assert [f"small-00000000-{number}-a1" for number in range(4)] == [
        pod["metadata"]["name"] for pod in pods
    ]
    assert {"pool": "gpu"} == pods[3]["spec"]["nodeSelector"]
    (container,) = pods[3]["spec"]["containers"]
    assert ["--lr=0.4", "--output", "/podmap/result"] == container["args"]
    assert {
        "name": "TOKEN",
        "valueFrom": {"secretKeyRef": {"name": "hf", "key": "token"}},
    } in container["env"]


def test_a_pod_is_the_one_that_podmap_render_shows(tmp_path: Path) -> None:
    file = tmp_path / "sweep.json"
    file.write_text(json.dumps(spec()))
    shown = CliRunner().invoke(render, [str(file), "--trial", "2", "--backend", "kubernetes"])
    assert json.loads(shown.stdout) == SweepTest(file).pod(2)


def test_the_command_and_environment_of_a_trial_need_no_image() -> None:
    sweep = SweepTest(spec(), overrides={"trial.image": None})

    assert ["python", "train.py", "--lr=0.2", "--output", "/podmap/result"] == sweep.argv(1)
    env = sweep.env(1)
    assert ("4", {"secret": "hf", "key": "token"}) == (env["THREADS"], env["TOKEN"])
    assert "1" == env["PODMAP_TRIAL"]
    with pytest.raises(AssertionError, match=r"no image"):
        sweep.pod(1)


def test_a_trial_that_is_not_there_is_named() -> None:
    with pytest.raises(AssertionError, match="4 trials, from 0 to 3"):
        SweepTest(spec()).pod(4)


def test_experiments_stand_for_a_search(tmp_path: Path) -> None:
    given = spec()
    del given["search"]
    sweep = SweepTest(given, experiments=[{"lr": 0.5}, {"lr": 0.7}])
    run = sweep.run(tmp_path, train=learn)
    assert {"COMPLETE": 2} == run.counts
    assert run.best is not None
    assert {"lr": 0.7} == run.best["params"]


def test_a_run_has_records_and_a_best_trial(tmp_path: Path) -> None:
    run = SweepTest(spec()).run(tmp_path, train=learn, takes_s=600)

    assert {"COMPLETE": 4} == run.counts
    assert ("", "") == (run.verdict, run.stopped_reason)
    assert run.best is not None
    assert (3, {"accuracy": 0.4}) == (run.best["number"], run.best["metrics"])
    assert 2 == run.most_alive
    assert 1200 == run.duration_s
    assert "2026-01-01T00:10:00.000Z" == run.record(2).started


@pytest.mark.parametrize(
    ("failure", "category"),
    [
        (fail.oom(1), "oom"),
        (fail.preempted(1), "preempted"),
        (fail.evicted(1), "evicted"),
        (fail.node_lost(1), "node_lost"),
        (fail.node_rejected(1), "node_rejected"),
        (fail.hangs(1), "user_timeout"),
        (fail.exit_code(1, 3), "user_exit"),
        (fail.no_result(1), "no_result"),
        (fail.bad_result(1), "bad_result"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_failed_attempt_is_diagnosed_and_tried_again(
    failure: Failure, category: str, tmp_path: Path
) -> None:
    sweep = SweepTest(spec(retries={"user": 1, "infra": 1, "oom": {"times": 1}}))
    run = sweep.run(tmp_path, train=learn, failures=[failure])

    assert [category, "complete"] == run.story(1)
    assert ["complete"] == run.story(0)
    assert {"COMPLETE": 4} == run.counts


@pytest.mark.parametrize(
    ("failure", "category"),
    [(fail.image_pull(1), "image_pull"), (fail.refused(1), "create_error")],
    ids=["image_pull", "refused"],
)
def test_what_no_trial_can_run_with_stops_the_run(
    failure: Failure, category: str, tmp_path: Path
) -> None:
    run = SweepTest(spec(parallelism=1)).run(tmp_path, train=learn, failures=[failure])
    assert {"COMPLETE": 1, "FAILED": 1, "CANCELLED": 2} == run.counts
    assert [category] == run.story(1)
    assert run.verdict.startswith("trial 1 cannot run: ")


def test_retries_are_spent_by_kind_of_failure(tmp_path: Path) -> None:
    sweep = SweepTest(spec(retries={"user": 1, "infra": 2}))
    run = sweep.run(
        tmp_path,
        train=learn,
        failures=[
            fail.evicted(0),
            fail.exit_code(0, attempt=2),
            fail.node_lost(0, attempt=3),
            fail.exit_code(0, attempt=4),
            fail.exit_code(1, 2),
        ],
    )
    assert ["evicted", "user_exit", "node_lost", "user_exit"] == run.story(0)
    assert ["user_exit"] == run.story(1)  # exit code 2 is never tried again
    assert {"COMPLETE": 2, "FAILED": 2} == run.counts
    assert "2 of 4 trials failed" in run.verdict


def test_the_memory_ladder_climbs_to_what_the_training_needs(tmp_path: Path) -> None:
    sweep = SweepTest(spec(retries={"oom": {"times": 3, "factor": 2, "limit": "48Gi"}}))
    run = sweep.run(tmp_path, train=learn, failures=[fail.oom({"lr": 0.2}, below="40Gi")])

    assert ["oom", "oom", "complete"] == run.story(1)
    assert ["16Gi", "32Gi", "48Gi"] == [
        run.pod(1, attempt=attempt)["spec"]["containers"][0]["resources"]["limits"]["memory"]
        for attempt in (1, 2, 3)
    ]


def test_too_many_failures_stop_the_run_at_the_same_trial_every_time(tmp_path: Path) -> None:
    sweep = SweepTest(spec(failures={"allow": 1}))
    runs = [
        sweep.run(tmp_path, train=learn, failures=[fail.exit_code(attempt=None)]) for _ in range(3)
    ]
    # Trial 2 takes the place of the first one that failed, before the second has.
    assert [{"FAILED": 3, "CANCELLED": 1}] * 3 == [run.counts for run in runs]
    assert "1 were allowed (failures.allow)" in runs[0].stopped_reason
    assert 3 == len({run.run_uri for run in runs})


def test_first_failures_of_one_kind_stop_the_run(tmp_path: Path) -> None:
    many = {"search": {"kind": "grid", "params": {"lr": [0.1 * n for n in range(1, 13)]}}}
    sweep = SweepTest(spec(**many, parallelism=1))
    run = sweep.run(tmp_path, train=lambda params: {"loss": 1.0})
    assert {"FAILED": 5, "CANCELLED": 7} == run.counts
    assert "the first 5 trials failed in the same way" in run.stopped_reason
    assert "it has loss" in run.stopped_reason
    off = SweepTest(spec(**many, failures={"same": "none"}))
    assert {"FAILED": 12} == off.run(tmp_path, train=lambda params: {"loss": 1.0}).counts


def test_a_slow_start_costs_the_trial_no_timeout(tmp_path: Path) -> None:
    run = SweepTest(spec()).run(
        tmp_path, train=learn, failures=[fail.slow_start(0, seconds=7200)], takes_s=3600
    )
    assert {"COMPLETE": 4} == run.counts
    assert "2026-01-01T02:00:00.000Z" == run.record(0).started
    assert 3600 == run.record(0).duration_s


def test_a_pod_that_no_node_takes_fails_its_trial_after_pending(tmp_path: Path) -> None:
    more = {"pending": "2h", "retries": {"unschedulable": 1}}
    run = SweepTest(spec(**more)).run(
        tmp_path,
        train=learn,
        failures=[
            fail.unschedulable(trial=0, attempt=None),
            fail.unschedulable(trial=1),
            fail.slow_start(trial=2, seconds=3 * 3600),
            fail.slow_start(trial=3, seconds=3600),
        ],
    )
    assert ["FAILED", "COMPLETE", "COMPLETE", "COMPLETE"] == [r.state.value for r in run.records]
    assert [2, 2, 2, 1] == [len(record.attempts) for record in run.records]
    assert (
        "unschedulable: it had not started after 7200 s (pending): no node takes it: 0/3 nodes "
        "are available: 3 Insufficient nvidia.com/gpu." == run.record(0).reason
    )
    assert 3600 <= (run.record(3).queued_s or 0) < 3600 * 2 + 60


@pytest.mark.parametrize("mode", ["finish", "cancel"])
def test_a_pod_that_no_node_takes_is_taken_back_when_the_runs_time_is_over(
    tmp_path: Path, mode: str
) -> None:
    sweep = SweepTest(spec(budget={"wall": "3h", "on_exceed": mode}))
    run = sweep.run(tmp_path, train=learn, failures=[fail.unschedulable(trial=0)])
    assert {"COMPLETE": 3, "CANCELLED": 1} == run.counts
    assert "budget.wall" in run.record(0).reason


def test_a_pod_that_waits_for_ever_fails_the_test(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="trial 1 waits for ever: the spec has no pending"):
        SweepTest(spec()).run(tmp_path, train=learn, failures=[fail.unschedulable(trial=1)])


def test_an_attempt_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    run = SweepTest(spec()).run(
        tmp_path, train=learn, takes_s=lambda params: 7200 if params["lr"] > 0.3 else 60
    )
    assert {"COMPLETE": 3, "FAILED": 1} == run.counts
    assert "user_timeout: took longer than its timeout of 3600 s" == run.record(3).reason


def test_the_runs_time_budget_ends_it(tmp_path: Path) -> None:
    sweep = SweepTest(spec(budget={"wall": "90m", "on_exceed": "cancel"}))
    run = sweep.run(tmp_path, train=learn, takes_s=3600)
    assert {"COMPLETE": 2, "CANCELLED": 2} == run.counts
    assert "budget.wall" in run.stopped_reason


def test_a_trial_that_hangs_without_a_timeout_fails_the_test(tmp_path: Path) -> None:
    sweep = SweepTest(spec(), overrides={"trial.timeout": None})
    with pytest.raises(AssertionError, match=r"trial 2 hangs for ever: .* no trial\.timeout"):
        sweep.run(tmp_path, train=learn, failures=[fail.hangs(2)])


def test_a_trial_that_hangs_is_ended_by_the_runs_budget(tmp_path: Path) -> None:
    sweep = SweepTest(
        spec(budget={"wall": "3h", "on_exceed": "cancel"}), overrides={"trial.timeout": None}
    )
    run = sweep.run(tmp_path, train=learn, failures=[fail.hangs(3)])
    assert {"COMPLETE": 3, "CANCELLED": 1} == run.counts


@pytest.mark.parametrize(
    "failure",
    [
        fail.oom(0, attempt=2),
        fail.preempted(0, at_step=5),
        fail.oom(0, below="8Gi"),
    ],
    ids=["attempt", "step", "memory"],
)
def test_a_failure_that_never_comes_to_pass_fails_the_test(
    failure: Failure, tmp_path: Path
) -> None:
    with pytest.raises(AssertionError, match="never came to pass: fail"):
        SweepTest(spec()).run(tmp_path, train=learn, failures=[failure])


@pytest.mark.parametrize("which", [7, {"lr": 0.9}], ids=["number", "params"])
def test_a_failure_that_concerns_no_trial_is_refused(which: Any, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"fail\.oom\(trial=.*\) concerns no trial"):
        SweepTest(spec()).run(tmp_path, train=learn, failures=[fail.oom(which)])


def test_training_resumes_from_its_checkpoint(tmp_path: Path) -> None:
    seen = []

    def train(params: dict[str, Any]) -> None:
        trial = podmap_trial.current()
        assert trial.checkpoint is not None
        checkpoint = Path(trial.checkpoint)
        step = int(checkpoint.read_text()) if checkpoint.exists() else 0
        seen.append((trial.number, trial.attempt, step))
        for each in range(step, 10):
            checkpoint.parent.mkdir(exist_ok=True)
            checkpoint.write_text(str(each))
            trial.report(each, accuracy=each / 10)
        trial.finish(accuracy=params["lr"])

    sweep = SweepTest(
        spec(),
        overrides={
            "trial.checkpoint": f"{tmp_path}/checkpoints/{{trial.number}}",
            "search.params.lr": [0.1],
        },
    )
    run = sweep.run(tmp_path, train=train, failures=[fail.preempted(0, at_step=6)])

    assert [(0, 1, 0), (0, 2, 6)] == seen
    assert ["preempted", "complete"] == run.story(0)
    assert '"step": 6' in run.log(0)
    assert '"step": 7' not in run.log(0)


def test_an_exception_in_the_training_is_an_exit_code_with_its_traceback(tmp_path: Path) -> None:
    def train(params: dict[str, Any]) -> dict[str, float]:
        print("loss explodes")
        raise FloatingPointError("loss is inf")

    run = SweepTest(spec()).run(tmp_path, train=train)
    record = run.record(0)
    assert 1 == record.attempts[0].exit_code
    assert record.reason.endswith("exit code 1: FloatingPointError: loss is inf")
    assert run.log(0).startswith("loss explodes\nTraceback")


@pytest.mark.parametrize(
    ("code", "kept", "state"),
    [(None, 0, "COMPLETE"), (0, 0, "COMPLETE"), (75, 75, "FAILED"), ("no data", 1, "FAILED")],
)
def test_a_training_that_exits_ends_as_a_program_does(
    code: Any, kept: int, state: str, tmp_path: Path
) -> None:
    def train(params: dict[str, Any]) -> None:
        Path(os.environ["PODMAP_RESULT"]).write_text('{"accuracy": 0.5}')
        sys.exit(code)

    run = SweepTest(spec()).run(tmp_path, train=train)
    assert {state: 4} == run.counts
    assert kept == run.record(0).attempts[0].exit_code


def test_a_result_longer_than_a_pod_keeps_is_cut(tmp_path: Path) -> None:
    run = SweepTest(spec()).run(
        tmp_path, train=lambda params: {"accuracy": 0.5, **{f"m{i}": 1.5 for i in range(800)}}
    )
    assert "larger than the 4096 bytes" in run.record(0).reason


def test_a_tests_own_failure_is_not_the_trainings(tmp_path: Path) -> None:
    with pytest.raises(pytest.fail.Exception, match="look here"):
        SweepTest(spec()).run(tmp_path, train=lambda params: pytest.fail("look here"))


def test_the_environment_is_left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THREADS", "16")  # the spec's is another
    before = dict(os.environ)
    SweepTest(spec()).run(tmp_path, train=learn)
    assert before == dict(os.environ)


def test_trials_without_an_image_fail_as_pods_do(tmp_path: Path) -> None:
    sweep = SweepTest(spec(), overrides={"trial.image": None})
    run = sweep.run(tmp_path, train=learn, failures=[fail.evicted()])
    assert ["evicted", "complete"] == run.story(0)


def test_hundreds_of_trials_with_failures_are_the_same_every_time(tmp_path: Path) -> None:
    sweep = SweepTest(
        spec(parallelism=50),
        overrides={"search.params.lr": {"low": 0.001, "high": 0.4, "steps": 150}},
    )

    def stories() -> list[list[str]]:
        run = sweep.run(
            tmp_path,
            train=learn,
            failures=[fail.preempted(), fail.slow_start(17), fail.oom(30, attempt=2)],
            takes_s=lambda params: params["lr"] * 1000,
        )
        assert 50 == run.most_alive
        return [[record.finished or "", *run.story(record.number)] for record in run.records]

    assert stories() == stories()


def test_repeats_and_a_target_are_as_in_a_run(tmp_path: Path) -> None:
    search = {"kind": "grid", "repeats": 2, "params": {"lr": [0.1, 0.2, 0.3, 0.4]}}
    objective = {"metric": "accuracy", "direction": "maximize", "target": 0.3}
    sweep = SweepTest(spec(search=search, objective=objective))
    result = sweep.run(tmp_path, train=learn)
    assert result.reached.startswith("trials 4 to 5 have reached the target")
    assert {"COMPLETE": 6, "CANCELLED": 2} == result.counts
    assert (result.verdict, result.stopped_reason) == ("", result.reached)
    assert result.best is not None
    assert result.best["repeats"]["trials"] == [4, 5]
    failed = sweep.run(tmp_path, train=learn, failures=[fail.exit_code(5)])
    assert failed.best is not None
    assert (0.4, 2) == (failed.best["metrics"]["accuracy"], failed.best["repeats"]["complete"])
