"""Every rule finds its own bad example and no good one; what is right is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from podmap.lint.finding import LintFinding, Rule
from podmap.lint.linter import RULES, lint_text

ARTICLE = Path(__file__).parent / "article.py.txt"
ALL = frozenset(RULES)
EACH_RULE = pytest.mark.parametrize("rule", RULES.values(), ids=list(RULES))

KPO = "from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator as Pod\n"
TASKS = """
from airflow.sdk import DAG, XComArg, dag, task, task_group
from airflow.providers.standard.operators.bash import BashOperator

@task
def discover():
    return [1, 2]

@task
def train(number):
    return number

"""


def found(text: str) -> list[tuple[str, int]]:
    """Rule and line of all findings."""
    return [(each.rule.id, each.line) for each in lint_text(text, rules=ALL)]


def ids(text: str) -> list[str]:
    return [each.rule.id for each in lint_text(text, rules=ALL)]


@EACH_RULE
def test_the_bad_example_is_found_by_this_rule_alone(rule: Rule) -> None:
    assert {rule.id} == set(ids(rule.bad))


@EACH_RULE
def test_nothing_is_found_in_the_good_example(rule: Rule) -> None:
    assert [] == ids(rule.good)


def test_rules_have_ids_of_their_own_and_names_of_their_own() -> None:
    assert len(RULES) == len({rule.name for rule in RULES.values()})
    assert list(RULES) == sorted(RULES)
    assert all(rule.id == key for key, rule in RULES.items())


def test_all_that_is_wrong_with_the_article_is_found() -> None:
    lines = ARTICLE.read_text().splitlines()
    shown = [(rule, lines[line - 1].strip()) for rule, line in found(ARTICLE.read_text())]
    assert shown == [
        ("PM102", "from airflow.decorators import dag, task"),
        ("PM102", "from airflow.decorators import dag, task"),
        ("PM101", "from airflow.utils.dates import days_ago"),
        (
            "PM101",
            "from airflow.providers.cncf.kubernetes.operators.kubernetes_pod import "
            "KubernetesPodOperator",
        ),
        ("PM201", "@dag(start_date=days_ago(1), schedule_interval=None, catchup=False)"),
        ("PM203", "resources={"),
        ("PM204", "is_delete_operator_pod=True,"),
        ("PM301", ".map(lambda exp: make_kube_task(exp))  # dynamic mapping: one pod per exp"),
    ]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("from airflow.utils import dates\ndates.days_ago(1)", ["PM101"]),
        ("import airflow.utils.dates as d\nd.days_ago(1)", ["PM101"]),
        ("import airflow\nairflow.utils.dates.days_ago(1)", ["PM101"]),
        ("from airflow.operators import python\npython.PythonOperator.partial", ["PM102"]),
        ("from airflow.operators.python_operator import *", ["PM101"]),
        ("import airflow.contrib.operators.x", ["PM101"]),
        ("from airflow.utils import timezone\ntimezone.utcnow()", ["PM102"]),
        ("from airflow.sensors.my_plugin import MySensor", ["PM101"]),
        ("from airflow.providers.cncf.kubernetes.operators import kubernetes_pod", ["PM101"]),
        ("from airflow.operators.bash import *", []),
        ("from airflow.providers.google.x import Y", []),
        ("from airflow import DAG", []),
        ("from airflow.utils.dates import cron_presets", []),
        ("from .airflow.utils.dates import days_ago", []),
        ("try:\n    from airflow.sdk import dag\nexcept ImportError:\n"
         "    from airflow.decorators import dag", []),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n"
         "    from airflow.utils.context import Context", []),
        ("if AIRFLOW_V_3_0_PLUS:\n    pass\nelse:\n    from airflow.datasets import Dataset", []),
    ],
)  # fmt: skip
def test_imports(code: str, expected: list[str]) -> None:
    assert expected == ids(code)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("Pod(task_id='t', resources={'limit_gpus': 1})", ["PM203"]),
        ("Pod(task_id='t', resources=None, is_delete_operator_pod=None)", []),
        ("Pod.partial(task_id='t', is_delete_operator_pod=True, startup_timeout_seconds=9)"
         ".expand(arguments=[])", ["PM204"]),
        ("class Mine(Pod):\n    image = 'x'\nMine(task_id='t', resources={})", ["PM203"]),
        ("class Mine(Pod):\n    def __init__(self, resources): pass\nMine(resources={})", []),
        ("from airflow.sdk import task\n@task.kubernetes(image='i', is_delete_operator_pod=False)\n"
         "def f(): ...", ["PM204"]),
        ("from airflow.sdk import DAG\nargs = {'is_delete_operator_pod': True}\n"
         "DAG('d', default_args=args)", ["PM204"]),
        ("from mine import Own\nOwn(task_id='t', resources={})", []),
        ("def Pod(**k): ...\nPod(task_id='t', resources={})", []),
    ],
)  # fmt: skip
def test_arguments_of_pods(code: str, expected: list[str]) -> None:
    assert expected == ids(KPO + code)


@pytest.mark.parametrize(
    "code",
    [
        "numbers = discover()\ntrain.expand(number=numbers)",
        "numbers = discover()\ntrain(numbers['first'])",
        "numbers = discover()\nprint(f'{numbers}')\nnumbers >> train(1)",
        "numbers = discover()\nif numbers is None:\n    pass",
        "numbers = [1, 2]\nfor number in numbers:\n    train(number)",
        "numbers = discover()\nnumbers = [1]\nlen(numbers)",
        "def f(numbers):\n    for n in numbers:\n        train(n)",
        "@task\ndef later():\n    for n in discover():\n        pass",
        "for n in [discover(), train(1)]:\n    n >> train(2)",
        "@dag\ndef d():\n    out = discover()\n    [out, train(1)] >> train(2)",
        "a, b = discover(), train(1)",
        "outputs = [discover() for _ in range(3)]\nfor out in outputs:\n    train(out)",
        "class Op(BashOperator):\n    def execute(self, context):\n        len(self.output)",
        "len(discover.function())",
        "@task_group\ndef g(x):\n    return [train(x)]\nfor t in g(1):\n    pass",
        "import functools\nhalf = functools.partial(print, 1)\nfunctools.partial(print)",
        "import pandas as pd\npd.Series([1]).map(lambda x: BashOperator(task_id=x)).expand(1)",
        "discover().map(str)['x'] if False else 1",
    ][:-1],
)
def test_right_code_is_left_alone(code: str) -> None:
    assert [] == ids(TASKS + code)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("for n in discover():\n    pass", "PM311"),
        ("[train(n) for n in discover()]", "PM311"),
        ("print(*discover())", "PM311"),
        ("a, b = discover()", "PM311"),
        ("list(zip([1], discover()))", "PM311"),
        ("1 in discover()", "PM311"),
        ("','.join(discover())", "PM311"),
        ("for n in BashOperator(task_id='b', bash_command='x').output:\n    pass", "PM311"),
        ("b = BashOperator(task_id='b', bash_command='x')\nlist(XComArg(b))", "PM311"),
        ("list(train.expand(number=[1]))", "PM311"),
        ("@dag\ndef d():\n    out = discover()\n    for n in out:\n        pass", "PM311"),
        ("@task_group\ndef g():\n    sorted(discover())", "PM311"),
        ("range(discover())", "PM312"),
        ("discover() + 1", "PM312"),
        ("discover() < 3", "PM312"),
        ("discover()[0]", "PM313"),
        ("discover()[-1]", "PM313"),
        ("discover()[:2]", "PM313"),
        ("x = 1 if discover() else 2", "PM314"),
        ("x = not discover()", "PM314"),
        ("x = discover() or 3", "PM314"),
        ("x = discover() == 3", "PM314"),
        ("discover()['a'].items()", "PM315"),
        ("discover().map(str).get('a')", "PM315"),
        ("discover().map(print)", "PM301"),
        ("x = discover().map(train)", "PM301"),
        ("x = discover().map(lambda n: train(n))", "PM301"),
        ("train.expand(pool=['a'])", "PM303"),
        ("train.expand(number={1, 2})", "PM305"),
        ("train.expand(number=discover()['a'])", "PM305"),
        ("train.partial(number=1)", "PM306"),
        ("train.expand([1])", "PM307"),
        ("train.expand_kwargs(kw=[1])", "PM307"),
        ("p = BashOperator.partial(task_id='b')\np.expand(retries=[1])", "PM303"),
        ("BashOperator.partial(task_id='b').expand_kwargs([{'pool': 'a'}])", "PM302"),
        ("@task_group\ndef g(x):\n    train.expand(number=[x])\ng.expand(x=[1])", "PM308"),
        ("from podmap.airflow import sweep\n@task_group\ndef g(x):\n    sweep('s.yaml')\n"
         "g.partial().expand(x=[1])", "PM308"),
        ("BashOperator(task_id='b', bash_command='{{ next_ds }}')", "PM209"),
        ("BashOperator.partial(task_id='b').expand(bash_command=['{{ prev_ds }}'])", "PM209"),
    ],
)  # fmt: skip
def test_wrong_code_is_found(code: str, expected: str) -> None:
    assert [expected] == ids(TASKS + code)


@pytest.mark.parametrize(
    "text",
    [
        "{{ data_interval_end | ds }}",
        "{{ macros.ds_add(ds, 1) }}",
        "{{ params.execution_date }}",
        "{{ dag_run.conf['conf'] }}",
        "{{ f(next_ds=ds) }}",
        "next_ds",
        "{{ 'execution_date' }}",
    ],
)
def test_templates_that_are_right(text: str) -> None:
    code = f"{TASKS}BashOperator(task_id='b', bash_command={text!r})"
    assert [] == ids(code)


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ("{'HF_TOKEN': 'hf_123'}", ["PM403"]),
        ("[k8s.V1EnvVar(name='DB_PASSWORD', value='x')]", ["PM403"]),
        ("{'HF_TOKEN': '{{ conn.hf.password }}'}", []),
        ("{'SECRET': 'vault://a/b'}", []),
        ("{'TOKEN': TOKEN, 'TOKEN_FILE': 'a', 'MAX_TOKENS': '9', 'KEY': 'x'}", []),
    ],
)
def test_secrets_in_env(env: str, expected: list[str]) -> None:
    code = f"{KPO}from kubernetes.client import models as k8s\nPod(task_id='t', env_vars={env})"
    assert expected == ids(code)


def test_a_gpu_behind_names_is_seen() -> None:
    code = (
        f"{KPO}from kubernetes.client import models as k8s\nGPU = {{'nvidia.com/gpu': 1}}\n"
        "R = k8s.V1ResourceRequirements(limits=GPU)\n"
        "Pod(task_id='t', container_resources=R, do_xcom_push=True)"
    )
    assert ["PM401"] == ids(code)


@pytest.mark.parametrize(
    "arguments",
    ["startup_timeout_seconds=9", "schedule_timeout_seconds=9", "**COMMON"],
)
def test_time_outs_that_are_chosen_or_unknown_are_left_alone(arguments: str) -> None:
    assert [] == ids(f"{KPO}Pod.partial(task_id='t', {arguments}).expand(arguments=[['a']])")


def test_a_finding_tells_place_rule_outcome_and_right_form() -> None:
    [finding] = lint_text("import os\nfrom airflow.utils.dates import days_ago\n", file="a.py")
    assert finding == LintFinding(
        RULES["PM101"],
        "a.py",
        2,
        33,
        "airflow.utils.dates.days_ago is gone: the import fails, and with it the whole file",
        "use a fixed date: pendulum.datetime(2024, 1, 1, tz='UTC')",
    )
    assert finding.describe() == f"a.py:2:33: PM101 error: {finding.message}\n    {finding.fix}"


SWEEP = "from podmap.airflow import PlanOperator, sweep, sweep_dag\n"


@pytest.mark.parametrize(
    "code",
    [
        "sweep('s.yaml', overrides={'search.items': '{{ params.list }}'})",
        "sweep('s.yaml', overrides={'search.uris': ['a', 's3://b/{{ ds }}/*']})",
        "sweep('s.yaml', overrides={'search': {'kind': 'list', 'items': '{{ params.x }}'}})",
        "sweep_dag('s.yaml', dag_id='d', overrides={'trial.command[2]': '{{ params.x }}'})",
        "sweep('s.yaml', overrides={'trial': {'pod': {'spec': {'hostname': '{{ ds }}'}}}})",
        "sweep('s.yaml', overrides={'store': '{% if x %}a{% endif %}'})",
        "OVER = {'store': '{{ params.x }}'}\nPlanOperator(task_id='p', spec='s', overrides=OVER)",
        "sweep('s.yaml', overrides={'search.items': f'{BUCKET}/{{{{ ds }}}}.csv'})",
        "sweep('s.yaml', overrides={'search.items': discover()})",
        "sweep('s.yaml', overrides={'search': '{{ params.search }}'})",
        "sweep('s.yaml', overrides={'trial': '{{ params.trial }}'})",
        "sweep('s.yaml', overrides='{{ params.all }}')",
    ],
)
def test_templates_that_decide_what_runs_are_found(code: str) -> None:
    assert ["PM504"] == ids(TASKS + SWEEP + code)


@pytest.mark.parametrize(
    "overrides",
    [
        "{'search.trials': '{{ params.trials }}', 'search.seed': '{{ params.seed }}'}",
        "{'parallelism': '{{ params.at_once }}', 'trial.timeout': '{{ params.t }}'}",
        "{'search.items': 's3://bucket/list.csv', 'store': 's3://bucket/podmap'}",
        "{'trial.env.DAY': '{{ ds }}', 'searches': '{{ x }}'}",
        "{'search.params.model': '{{ params.models }}'}",
        "something()",
    ],
)
def test_other_overrides_are_left_alone(overrides: str) -> None:
    assert [] == ids(f"{TASKS}{SWEEP}sweep('s.yaml', overrides={overrides})")


PAST = f"""{TASKS}{SWEEP}
from podmap.airflow import CollectOperator

run = sweep("s.yaml")
plan = PlanOperator(task_id="plan", spec="s.yaml")
collect = CollectOperator(task_id="collect", plan_task_id="plan")
bash = BashOperator(task_id="b", bash_command="true")
"""


@pytest.mark.parametrize(
    "arrow",
    [
        "discover() >> run.map(str)",
        "discover() >> run['pareto'].map(str)",
        "bash >> train(sweep('t.yaml'))",
        "bash >> [train(number=sweep('t.yaml')['best'])]",
        "train(sweep('t.yaml')) << bash",
        "bash >> discover() >> collect.output",
        "bash >> collect",
    ],
)
def test_arrows_past_a_sweep_are_found(arrow: str) -> None:
    assert ["PM505"] == ids(PAST + arrow)


@pytest.mark.parametrize(
    "arrow",
    [
        "discover() >> run >> bash",
        "discover() >> run['best']",
        "[bash] >> sweep('t.yaml', group_id='t')",
        "plan >> collect",
        "bash >> plan >> collect",
        "bash >> train(run['best'])",
        "bash >> train(sweep('t.yaml', after=discover()))",
        "bash >> train(sweep('t.yaml', experiments=discover()))",
        "run >> bash | something",
    ],
)
def test_other_arrows_are_left_alone(arrow: str) -> None:
    assert [] == ids(PAST + arrow)
