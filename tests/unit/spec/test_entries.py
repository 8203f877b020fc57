from __future__ import annotations

from typing import Any

import pytest

from podmap.engine.local_spec import check_env_of_processes
from podmap.errors import NotSupportedError, SpecError
from podmap.search.plan import make_plan
from podmap.spec.load import load


def spec(env: Any, **more: Any) -> Any:
    return load(
        {
            "apiVersion": "podmap/v1",
            "name": "s",
            "search": {"kind": "grid", "params": {"x": [1]}},
            "objective": {"metric": "y", "direction": "maximize"},
            "trial": {"command": ["t"], "env": env, **more},
        }
    )


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"config_map": "a"}, "trial.env.X.key: missing: the key inside it"),
        ({"configmap": "a", "key": "b"}, "did you mean 'config_map'?"),
        ({"config_map": "", "key": "b"}, "it must not be empty"),
        ({"config_map": "a", "key": "b", "secret": "c"}, "unknown key 'secret'"),
        ({"field": "spec.nodename"}, "did you mean 'spec.nodeName'?"),
        ({"field": "metadata.labels"}, "is no field for a variable"),
        ({"field": "metadata.labels['a']; x"}, "is no field for a variable"),
        ({"field": 1}, "text is needed"),
        ({"secret": "a"}, "trial.env.X.key: missing"),
        ([1], "a list is not allowed: a plain value or a mapping is needed"),
        (1, "text is needed"),
    ],
)
def test_a_wrong_variable_says_what_is_wrong(value: Any, message: str) -> None:
    with pytest.raises(SpecError) as error:
        spec({"X": value})
    assert message in str(error.value)


@pytest.mark.parametrize("value", [{"config_map": "a", "key": "b"}, {"field": "status.podIP"}])
def test_airflows_and_podmaps_variables_are_not_taken_from_elsewhere(value: Any) -> None:
    for name in ("AIRFLOW__CORE__FERNET_KEY", "PODMAP_RESULT"):
        with pytest.raises(SpecError, match="is not allowed"):
            spec({name: value})


def test_local_processes_have_no_config_maps_and_fields_and_all_are_told() -> None:
    case = {"when": {"x": 1}, "env": {"B": {"field": "spec.nodeName"}}}
    env = {"A": {"config_map": "a", "key": "b"}, "C": {"secret": "a", "key": "b"}}
    loaded = spec(env, cases=[case])
    with pytest.raises(NotSupportedError) as error:
        check_env_of_processes(loaded.sweep)
    assert [
        "trial.env.A: a ConfigMap is for pods alone",
        "trial.cases[0].env.B: a field is for pods alone",
    ] == [line.partition(";")[0] for line in str(error.value).splitlines()]


def test_where_a_variable_comes_from_is_part_of_the_key() -> None:
    values = [
        "a",
        {"secret": "a", "key": "b"},
        {"config_map": "a", "key": "b"},
        {"config_map": "a", "key": "c"},
        {"field": "spec.nodeName"},
    ]
    assert 5 == len({make_plan(spec({"X": value})).trial(0).key for value in values})
