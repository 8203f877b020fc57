"""The verbs that look at a spec: plan, render and schema."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from podmap.testing.fake_cluster import FakeCluster

RANDOM = """\
apiVersion: podmap/v1
name: random
search: {kind: random, trials: 100, params: {lr: {low: 0.001, high: 1, log: true}, kernel: [a, b]}}
objective: {metric: y, direction: maximize}
trial:
  command: [python, train.py]
  args: ["--lr", "{params.lr}", "--note", "it's {trial.number}"]
  env: {TOKEN: {secret: hf, key: token}, PLAIN: "a b"}
  resources: {gpu: 2}
  timeout: 30m
parallelism: 8
"""


def test_plan_shows_the_first_and_last_trials_and_runs_nothing(cli: Any) -> None:
    ran = cli("plan", cli.spec(RANDOM))
    assert 0 == ran.code
    lines = ran.out.splitlines()
    assert ["TRIAL", "0", "1", "2", "3", "4", "…", "98", "99"] == [x.split()[0] for x in lines[:9]]
    assert "100 trials (random), 8 at once" in lines
    assert not cli.store.exists()


@pytest.mark.parametrize(
    ("more", "by", "makespan_s", "gpu_hours", "limited_by"),
    [
        ([], "trial.timeout", 13 * 1800.0, 100.0, "parallelism (8)"),
        (["--seconds-per-trial", "1m"], "--trial-time", 780.0, 3.333333, "parallelism (8)"),
        (["--set", "trial.timeout=", "--set", "parallelism=100"], None, None, None, "the longest"),
        (["--set", "budget={wall: 1h}"], "trial.timeout", 13 * 1800.0, 100.0, "budget.wall: "),
        (
            ["--set", "budget={wall: 1h, gpu_hours: 99}"],
            "trial.timeout",
            13 * 1800.0,
            100.0,
            "budget.wall and budget.gpu_hours (99): it may end before all trials have run",
        ),
        (
            ["--set", "trial.cases=[{when: {kernel: [a, b]}, timeout: 1h}]"],
            "trial.timeout",
            13 * 3600.0,
            200.0,
            "parallelism (8)",
        ),
    ],
    ids=["timeout", "given", "nothing", "wall", "gpus", "cases"],
)
def test_plan_estimates_time_and_gpu_hours_and_says_what_limits_them(
    cli: Any,
    more: list[str],
    by: str | None,
    makespan_s: float | None,
    gpu_hours: float | None,
    limited_by: str,
) -> None:
    data = cli("plan", cli.spec(RANDOM), "--json", *more).json
    assert 100 == data["count"]
    assert (by, makespan_s, gpu_hours) == (
        data["estimated_by"],
        data["makespan_s"],
        data["gpu_hours"],
    )
    assert data["limited_by"].startswith(limited_by)


@pytest.mark.parametrize("setting", ["pack=2"])
def test_plan_says_what_run_would_refuse_in_the_same_words(cli: Any, setting: str) -> None:
    planned = cli("plan", cli.spec(), "--set", setting)
    refused = cli("run", cli.spec(), "--set", setting).err.removeprefix("podmap: ").strip()
    assert (0, f"podmap run will refuse it: {refused}\n") == (planned.code, planned.err)
    data = cli("plan", cli.spec(), "--set", setting, "--json").json
    assert [refused] == data["not_supported"]


def test_plan_says_which_search_was_chosen_and_shows_no_params_that_are_asked_later(
    cli: Any,
) -> None:
    search = "search={trials: 30, params: {x: {low: 0, high: 9}}, try_first: [{x: 4}]}"
    lines = cli("plan", cli.spec(), "--set", search).out.splitlines()
    assert [["0", "4"], ["1", "?"]] == [line.split() for line in lines[1:3]]
    why = (
        "?: gp is asked when a trial can start (search.kind: auto: one objective, and 1 params vary"
    )
    assert any(line.startswith(why) for line in lines)
    data = cli("plan", cli.spec(), "--set", search, "--json").json
    assert ("gp", [None, True]) == (data["search"], [t.get("example") for t in data["trials"][:2]])


def test_plan_of_what_can_be_run_says_nothing_more(cli: Any) -> None:
    ran = cli("plan", cli.spec(), "--set", "search.params.x.high=0")
    assert ("", True) == (ran.err, "1 trial (grid), 2 at once" in ran.out.splitlines())


def test_plan_shows_shards_by_their_uri(cli: Any) -> None:
    spec = cli.spec(RANDOM)
    (cli.folder / "part-1.csv").write_text("")
    sets = ["--set", "search={kind: shards, uris: 'part-*.csv'}", "--set", "trial.args=[]"]
    assert f"{cli.folder}/part-1.csv" in cli("plan", spec, "--json", *sets).out


def test_render_shows_exactly_what_would_be_run_and_secrets_by_name_only(cli: Any) -> None:
    data = cli("render", cli.spec(RANDOM), "--trial", "7", "--json").json
    trial = cli("plan", "sweep.yaml", "--set", "search.trials=8", "--json").json["trials"][-1]
    lr = trial["params"]["lr"]
    assert trial["params"] == data["params"]
    assert ["python", "train.py", "--lr", repr(lr), "--note", "it's 7"] == data["argv"]
    assert ("7", "a b") == (data["env"]["PODMAP_TRIAL"], data["env"]["PLAIN"])
    assert trial["params"] == json.loads(data["env"]["PODMAP_PARAMS"])
    assert {"TOKEN": {"secret": "hf", "key": "token"}} == data["secret_env"]
    assert (str(cli.folder), 1800.0) == (data["cwd"], data["timeout_s"])


def test_render_prints_a_script_that_runs_the_trial(cli: Any) -> None:
    script = cli("render", cli.spec(), "--trial", "3").out
    ran = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert "x is 3\n" == ran.stdout


def test_render_of_a_trial_that_is_not_there_ends_with_2(cli: Any) -> None:
    ran = cli("render", cli.spec(), "--trial", "4")
    assert (2, True) == (ran.code, "the spec has 4 trials, from 0 to 3" in ran.err)


def test_render_shows_the_pod_that_would_be_sent(cli: Any) -> None:
    ran = cli("render", cli.spec(), "--backend", "kubernetes", "--set", "trial.image=tiny:1")
    assert (0, "") == (ran.code, ran.err)
    pod = json.loads(ran.out)
    container = pod["spec"]["containers"][0]
    assert ("Pod", "trial", "tiny:1") == (pod["kind"], container["name"], container["image"])
    assert [{"name": "podmap.io/slot"}] == pod["spec"]["schedulingGates"]


def test_render_of_a_pod_needs_an_image(cli: Any) -> None:
    ran = cli("render", cli.spec(), "--backend", "kubernetes")
    assert 2 == ran.code
    assert "trial.image: a pod needs an image" in ran.err


def test_schema_prints_the_json_schema_of_the_spec(cli: Any) -> None:
    schema = cli("schema").json
    assert {"apiVersion", "name", "search", "trial", "objective"} <= set(schema["properties"])
    assert schema == cli("schema", "--json").json


PODS = """\
apiVersion: podmap/v1
name: pods
search: {kind: grid, params: {size: [small, large], lr: [1, 2]}}
objective: {metric: y, direction: maximize}
trial:
  image: train:1
  resources: {memory: 1Gi}
  cases: [{when: {size: large}, resources: {memory: 64Gi}}]
"""


def test_a_dry_run_has_the_cluster_check_each_kind_of_pod_and_creates_none(
    cli: Any, tmp_path: Path
) -> None:
    with FakeCluster() as cluster:
        kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig")
        asked = ("--backend", "kubernetes", "--dry-run", "--kubeconfig", str(kubeconfig))
        ran = cli("plan", cli.spec(PODS), *asked, "--json")
        cluster.fail(
            "create",
            status=403,
            reason="Forbidden",
            message='pods "x" is forbidden: maximum memory usage per Container is 32Gi',
        )
        refused = cli("plan", cli.spec(PODS), *asked)
        pods = cluster.pod_names()

    assert 0 == ran.code
    assert [(0, 2), (2, 2)] == [(each["trial"], each["trials"]) for each in ran.json["dry_run"]]
    assert [None, None] == [each["refused"] for each in ran.json["dry_run"]]
    assert [] == pods
    assert 1 == refused.code
    assert "refuses the pod of trial 0 (and 1 more like it): the namespace's LimitR" in refused.err
    assert "takes the pod of trial 2" in refused.err


def test_a_dry_run_without_a_cluster_is_refused(cli: Any, tmp_path: Path) -> None:
    ran = cli("plan", cli.spec(PODS), "--dry-run")
    assert (2, True) == (ran.code, "add --backend kubernetes" in ran.err)
    nowhere = ("--backend", "kubernetes", "--kubeconfig", str(tmp_path / "none"))
    assert 0 == cli("plan", cli.spec(PODS), *nowhere).code
    ran = cli("plan", cli.spec(PODS), *nowhere, "--dry-run")
    assert (2, True) == (ran.code, "there is no kubeconfig at" in ran.err)


def test_a_plan_of_pods_needs_an_image(cli: Any) -> None:
    spec = cli.spec(PODS.replace("  image: train:1\n", ""))
    ran = cli("plan", spec, "--backend", "kubernetes", "--json")
    assert 2 == ran.code
    assert ran.json["not_supported"][0].startswith("trial.image: a pod needs an image")
    assert 2 == cli("plan", spec, "--backend", "kubernetes", "--dry-run").code


def test_what_a_table_would_hide_is_shown_in_quotes(cli: Any) -> None:
    search = 'search={kind: grid, params: {x: ["", " a", "a\\nb", "a b", "true", true]}}'
    rows = cli("plan", cli.spec(), "--set", search, "--set", "trial.args=[]").out.splitlines()
    assert ['""', '" a"', '"a\\nb"', "a b", "true"] == [row[5:].strip() for row in rows[1:6]]


def test_what_only_pods_have_is_refused_for_processes_before_anything_runs(cli: Any) -> None:
    env = ["--set", "trial.env.REGION={config_map: cluster, key: region}"]
    env += ["--set", "trial.env.N={field: spec.nodeName}"]
    for verb in ("run", "render"):
        ran = cli(verb, cli.spec(), *env)
        assert 2 == ran.code
        assert "trial.env.REGION: a ConfigMap is for pods alone" in ran.err
        assert "trial.env.N: a field is for pods alone" in ran.err
    assert not cli.store.exists()
    planned = cli("plan", cli.spec(), *env, "--json")
    assert (0, 2) == (planned.code, len(planned.json["not_supported"]))
    image = ["--set", "trial.image=t", "--backend", "kubernetes"]
    (main,) = cli("render", cli.spec(), *env, *image).json["spec"]["containers"]
    given = [one["valueFrom"] for one in main["env"] if "valueFrom" in one]
    assert [{"configMapKeyRef": {"name": "cluster", "key": "region"}}] == given[:1]
    assert [{"fieldRef": {"fieldPath": "spec.nodeName"}}] == given[1:]


def test_json_has_all_trials_and_the_table_the_first_and_the_last(cli: Any) -> None:
    spec, more = cli.spec(), ("--set", "search.params.x.high=99")
    trials = cli("plan", spec, *more, "--json").json["trials"]
    assert list(range(100)) == [trial["number"] for trial in trials]
    assert list(range(100)) == [trial["params"]["x"] for trial in trials]
    table = cli("plan", spec, *more).out.split("\n\n")[0].splitlines()
    assert ["TRIAL", "0", "1", "2", "3", "4", "…", "98", "99"] == [row.split()[0] for row in table]
