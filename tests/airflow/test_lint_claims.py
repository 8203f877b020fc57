"""What the lint rules say of Airflow is so in the Airflow that is installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from podmap.lint.airflow_names import GONE, GONE_MODULES, moved_imports
from podmap.lint.finding import RuleOutcome
from podmap.lint.linter import RULES
from podmap.lint.rules.arguments import DAG_ARGUMENTS, POD_ARGUMENTS, TASK_ARGUMENTS, TRIGGER_RULES
from podmap.lint.rules.context import CONTEXT_KEYS
from podmap.lint.rules.task_mapping import UNHEEDED, UNMAPPABLE
from podmap.lint.rules.task_outputs import ATTRIBUTES

pytestmark = pytest.mark.airflow

SAYS = Path(__file__).parent / "airflow_says.py"
Ask = Callable[[dict[str, str]], dict[str, Any]]

BASH = (
    "from airflow.providers.standard.operators.bash import BashOperator\n"
    "from airflow.sdk import DAG\n"
)
POD = (
    "from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator\n"
    "from airflow.sdk import DAG\n"
)
IN_DAG = "with DAG('d', schedule=None):\n    "
PODS = "KubernetesPodOperator(task_id='t', name='t', image='i', kubernetes_conn_id=None, "
BROKEN_LATER = {"PM209"}
"""Rules whose files Airflow imports: the task fails when it runs."""
NOT_IMPORTED = {"PM001", "PM002", "PM602"}
"""Rules about the file itself, or about packages that need not be there."""
ERRORS = {
    "PM101": "ImportError: cannot import name 'days_ago'",
    "PM201": "TypeError: DAG.__init__() got an unexpected keyword argument 'schedule_interval'",
    "PM202": "TypeError: Invalid arguments were passed to PythonOperator",
    "PM205": "TypeError: Invalid arguments were passed to KubernetesPodOperator",
    "PM208": "ValueError: The trigger_rule must be one of",
    "PM303": "TypeError: unmappable or already specified argument: retries",
    "PM304": "TypeError: unmappable or already specified argument: arguments",
    "PM305": "ValueError: KubernetesPodOperator.expand() got an unexpected type 'generator'",
    "PM307": "TypeError: OperatorPartial.expand() takes 1 positional argument",
    "PM308": "NotImplementedError: operator expansion in an expanded task group",
    "PM311": "TypeError: 'XComArg' object is not iterable",
    "PM312": "TypeError: object of type 'PlainXComArg' has no len()",
    "PM313": "ValueError: XComArg only supports str lookup, received int",
    "PM315": "AttributeError: 'PlainXComArg' object has no attribute 'pop'",
}
"""How the bad example of each broken rule fails to import."""


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    env = {**os.environ, "AIRFLOW_HOME": str(tmp_path_factory.mktemp("airflow"))}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, str(SAYS)], env=env, stdin=pipe, stdout=pipe, text=True
    ) as airflow:

        def ask(pieces: dict[str, str]) -> dict[str, Any]:
            assert airflow.stdin is not None
            assert airflow.stdout is not None
            print(json.dumps(pieces), file=airflow.stdin, flush=True)
            answers: dict[str, Any] = json.loads(airflow.stdout.readline())
            return answers

        yield ask


@pytest.fixture(scope="module")
def examples(ask: Ask) -> dict[str, Any]:
    rules = [rule for rule in RULES.values() if rule.id not in NOT_IMPORTED]
    return ask(
        {f"{rule.id} {which}": getattr(rule, which) for rule in rules for which in ("bad", "good")}
    )


def of(examples: dict[str, Any], rule: str) -> Any:
    return examples[f"{rule} bad"]


def test_every_broken_example_fails_to_import_as_it_is_said(examples: dict[str, Any]) -> None:
    broken = {rule.id for rule in RULES.values() if rule.outcome is RuleOutcome.BROKEN}
    assert broken == set(ERRORS) | BROKEN_LATER | {"PM001"}
    said = {rule: (of(examples, rule)["error"] or "")[: len(text)] for rule, text in ERRORS.items()}
    assert said == ERRORS


def test_every_other_bad_example_is_imported_without_an_error(examples: dict[str, Any]) -> None:
    silent = {rule for rule in RULES if rule not in ERRORS and rule not in NOT_IMPORTED}
    errors = {rule: of(examples, rule)["error"] for rule in silent}
    assert {} == {rule: error for rule, error in errors.items() if error}


def test_every_good_example_is_imported_without_error_or_deprecation(
    examples: dict[str, Any],
) -> None:
    good = {name: answer for name, answer in examples.items() if name.endswith("good")}
    assert {} == {name: answer["error"] for name, answer in good.items() if answer["error"]}
    warned = {
        name: [each for each in answer["warnings"] if "Deprecat" in each or "Removed" in each]
        for name, answer in good.items()
    }
    assert {} == {name: lines for name, lines in warned.items() if lines}


@pytest.mark.parametrize("rule", ["PM301", "PM306"])
def test_no_task_comes_of_it(examples: dict[str, Any], rule: str) -> None:
    tasks = of(examples, rule)["tasks"]
    assert tasks == ({"train": ["discover"]} if rule == "PM301" else {"train": []})


@pytest.mark.parametrize(
    ("rule", "warning"),
    [
        ("PM102", "DeprecatedImportWarning: The `airflow.decorators.dag` attribute is deprecated"),
        ("PM206", "AirflowProviderDeprecationWarning: `reattach_on_restart` is deprecated"),
        ("PM207", "UserWarning: The SLA feature is removed in Airflow 3.0"),
        ("PM306", "UserWarning: Task 'train' was never mapped!"),
    ],
)
def test_airflow_warns(examples: dict[str, Any], rule: str, warning: str) -> None:
    assert any(each.startswith(warning) for each in of(examples, rule)["warnings"])


def test_every_name_that_is_said_to_be_gone_cannot_be_imported(ask: Ask) -> None:
    pieces = {f"from {old.rpartition('.')[0]} import {old.rpartition('.')[2]}" for old in GONE}
    pieces |= {f"import {module}" for module in GONE_MODULES}
    answers = ask({piece: piece for piece in pieces})
    assert [] == [piece for piece, answer in answers.items() if not answer["error"]]


def test_every_name_that_is_said_to_have_moved_works_with_a_warning(ask: Ask) -> None:
    names = [name for name in moved_imports() if not name.endswith(".*")]
    pieces = {
        name: f"from {name.rpartition('.')[0]} import {name.rpartition('.')[2]}" for name in names
    }
    # A module that warns as it is imported warns once a process.
    once = {"airflow.models.xcom_arg.XComArg", "airflow.utils.context.KNOWN_CONTEXT_KEYS"}
    answers = ask(pieces)
    assert {} == {name: each["error"] for name, each in answers.items() if each["error"]}
    quiet = {name for name, each in answers.items() if "eprecated" not in str(each["warnings"])}
    assert quiet <= once


def test_every_new_name_can_be_imported_without_a_warning(ask: Ask) -> None:
    names = {*moved_imports().values(), *GONE.values()} - {""}
    pieces = {}
    for name in names:
        module, _, last = name.rpartition(".")
        pieces[name] = f"import {module}" if last == "*" else f"from {module} import {last}"
    answers = ask(pieces)
    assert {} == {name: each["error"] for name, each in answers.items() if each["error"]}
    warned = {name for name, each in answers.items() if "eprecated" in str(each["warnings"])}
    assert set() == warned


def test_every_argument_that_is_said_to_be_refused_is_refused(ask: Ask) -> None:
    pieces = {f"DAG {name}": f"{BASH}DAG('d', {name}=None)" for name in DAG_ARGUMENTS}
    for name in TASK_ARGUMENTS:
        pieces[f"task {name}"] = f"{BASH}BashOperator(task_id='t', bash_command='', {name}=1)"
    for name in POD_ARGUMENTS:
        pieces[f"pod {name}"] = f"{POD}{PODS}{name}=None)"
    errors = {name: str(answer["error"]) for name, answer in ask(pieces).items()}
    assert [] == [name for name, error in errors.items() if not error.startswith("TypeError")]


def test_trigger_rules_are_gone_and_their_heirs_are_there(ask: Ask) -> None:
    make = BASH + "BashOperator(task_id='t', bash_command='', trigger_rule={!r})"
    gone = ask({rule: make.format(rule) for rule in TRIGGER_RULES})
    assert all("ValueError" in str(answer["error"]) for answer in gone.values())
    heirs = ask({rule: make.format(rule) for rule in TRIGGER_RULES.values()})
    assert [] == [answer["error"] for answer in heirs.values() if answer["error"]]


def test_expand_refuses_what_is_said_to_be_unmappable(ask: Ask) -> None:
    make = BASH + IN_DAG + "BashOperator.partial(task_id='t', bash_command='').expand({}=[1, 2])"
    answers = ask({name: make.format(name) for name in sorted(UNMAPPABLE)})
    text = "TypeError: unmappable or already specified argument"
    accepted = [name for name, each in answers.items() if text not in str(each["error"])]
    assert [] == accepted


def test_expand_takes_and_forgets_what_is_said_to_be_unheeded(ask: Ask) -> None:
    make = (
        BASH
        + IN_DAG
        + "task = BashOperator.partial(task_id='t', bash_command='').expand({0}=['a', 'b'])\n"
        "    plain = BashOperator.partial(task_id='u', bash_command='').expand(env=[{{}}])\n"
        "same = task.{0} == plain.{0} or (task.{0}, plain.{0}) == ('t', 'u')\n"
        "result = [same, '{0}' in task.partial_kwargs and '{0}' not in plain.partial_kwargs]"
    )
    answers = ask({name: make.format(name) for name in sorted(UNHEEDED)})
    assert {name: each["error"] or each["result"] for name, each in answers.items()} == {
        name: [True, False] for name in UNHEEDED
    }


def test_pods_get_nothing_of_resources_and_are_deleted_all_the_same(ask: Ask) -> None:
    answers = ask(
        {
            "ignored": f"{POD}pod = {PODS}resources={{'gpus': 1}}, is_delete_operator_pod=False)\n"
            "result = [pod.container_resources, pod.on_finish_action.value]",
            "refused": f"{POD}{PODS}resources={{'limit_memory': '1Gi'}})",
            "mapped": POD + IN_DAG + "task = KubernetesPodOperator.partial(task_id='t', "
            "resources={'limit_memory': '1Gi'}).expand(arguments=[['a']])\nresult = True",
        }
    )
    assert [None, "delete_pod"] == answers["ignored"]["result"]
    assert "TypeError" in answers["refused"]["error"]
    assert answers["mapped"]["result"]


def test_outputs_are_true_equal_to_nothing_and_have_these_attributes(ask: Ask) -> None:
    code = (
        "from airflow.sdk import DAG, task\n@task\ndef f(): ...\nwith DAG('d', schedule=None):\n"
        "    out = f()\nresult = [bool(out), out == 3, not out,\n"
        "    sorted(name for name in dir(out) if not name.startswith('_'))]"
    )
    answer = ask({"code": code})["code"]
    assert [True, False, False, sorted(ATTRIBUTES)] == answer["result"]


def test_pods_wait_120_seconds_for_room_and_a_sidecar_holds_them(ask: Ask) -> None:
    answers = ask(
        {
            "time": f"{POD}result = {PODS[:-2]}).schedule_timeout_seconds",
            "sidecar": "from kubernetes.client import models as k8s\n"
            "from airflow.providers.cncf.kubernetes.utils.xcom_sidecar import add_xcom_sidecar\n"
            "spec = k8s.V1PodSpec(containers=[k8s.V1Container(name='base')])\n"
            "pod = add_xcom_sidecar(k8s.V1Pod(spec=spec))\n"
            "result = [each.name for each in pod.spec.containers]",
            "env": f"{POD}pod = KubernetesPodOperator\nresult = 'env_vars' in pod.template_fields",
        }
    )
    assert 120 == answers["time"]["result"]
    assert ["base", "airflow-xcom-sidecar"] == answers["sidecar"]["result"]
    assert answers["env"]["result"]  # template fields are kept in the database, and shown


def test_contexts_have_none_of_the_keys_that_are_gone(ask: Ask) -> None:
    code = (
        "from airflow.sdk.definitions.context import Context\n"
        "result = sorted(Context.__annotations__)"
    )
    keys = ask({"code": code})["code"]["result"]
    assert "logical_date" in keys
    assert set() == set(CONTEXT_KEYS) & set(keys)


def test_a_template_with_a_name_that_is_gone_fails(ask: Ask) -> None:
    code = (
        BASH
        + "with DAG('d', schedule=None) as dag:\n"
        + "    task = BashOperator(task_id='t', bash_command='{{ execution_date }}')\n"
        + "task.render_template_fields({'logical_date': 1})"
    )
    assert ask({"code": code})["code"]["error"].startswith("UndefinedError")


def test_xcom_pull_without_task_ids_asks_for_the_task_itself(ask: Ask) -> None:
    code = (
        "from types import SimpleNamespace\n"
        "from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance as TI\n"
        "me = SimpleNamespace(task_id='me', dag_id='d', run_id='r')\n"
        "result = TI._normalize_xcom_pull_params(me, None, None, None, None)[2]"
    )
    assert ["me"] == ask({"code": code})["code"]["result"]


def test_mapped_trigger_kwargs_are_not_what_a_task_is_deferred_with(ask: Ask) -> None:
    code = (
        RULES["PM502"].bad
        + "import inspect\nfrom airflow.models.taskinstance import TaskInstance\n"
        + "source = inspect.getsource(TaskInstance.defer_task)\n"
        + "result = ['start_trigger_args.trigger_kwargs' in source, 'expand_start' in source]"
    )
    assert [True, False] == ask({"code": code})["code"]["result"]


def test_airflow_refuses_end_from_trigger_with_listeners(ask: Ask) -> None:
    code = (
        RULES["PM503"].bad
        + "from types import SimpleNamespace\nfrom unittest import mock\n"
        + "from airflow.dag_processing import dagbag\n"
        + "listening = SimpleNamespace(has_listeners=True)\n"
        + "bag = SimpleNamespace(log=mock.MagicMock())\n"
        + "with mock.patch.object(dagbag, 'get_listener_manager', lambda: listening):\n"
        + "    dagbag.DagBag.bag_dag(bag, train_dag)\n"
    ).replace('with DAG("train", schedule=None):', 'with DAG("train", schedule=None) as train_dag:')
    assert (
        "Listeners are not supported with end_from_trigger" in ask({"code": code})["code"]["error"]
    )


def test_airflow_itself_warns_of_values_that_vary(ask: Ask, tmp_path: Path) -> None:
    pieces = {}
    for which in ("bad", "good"):
        path = tmp_path / f"{which}.py"
        path.write_text(getattr(RULES["PM601"], which))
        pieces[which] = (
            "from airflow.utils.dag_version_inflation_checker import check_dag_file_stability\n"
            "from airflow.configuration import conf\n"
            "conf.set('dag_processor', 'dag_version_inflation_check_level', 'warning')\n"
            f"result = len(check_dag_file_stability({str(path)!r}).warnings)"
        )
    answers = ask(pieces)
    assert [1, 0] == [answers["bad"]["result"], answers["good"]["result"]]
