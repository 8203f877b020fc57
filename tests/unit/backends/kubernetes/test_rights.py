"""The rights that podmap checks are those that deploy/rbac.yaml grants."""

from __future__ import annotations

from pathlib import Path

from ruamel.yaml import YAML

from podmap.backends.kubernetes.rights import NEEDED, access_review

RBAC = Path(__file__).parents[4] / "deploy" / "rbac.yaml"


def test_the_rights_are_those_of_the_role() -> None:
    objects = list(YAML(typ="safe").load_all(RBAC))
    (role,) = (each for each in objects if each["kind"] == "Role")
    granted = {
        (verb, resource, group)
        for rule in role["rules"]
        for verb in rule["verbs"]
        for resource in rule["resources"]
        for group in rule["apiGroups"]
    }
    assert granted == {(right.verb, right.resource, right.group) for right in NEEDED}
    assert len(granted) == len(NEEDED)


def test_the_part_of_a_resource_is_asked_for_by_itself() -> None:
    (right,) = (each for each in NEEDED if each.resource == "pods/log")
    assert {
        "namespace": "ml",
        "verb": "get",
        "group": "",
        "resource": "pods",
        "subresource": "log",
    } == access_review(right, "ml")["spec"]["resourceAttributes"]
