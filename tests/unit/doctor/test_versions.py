"""Which packages the doctor finds missing or old."""

from __future__ import annotations

from collections.abc import Mapping

from podmap.doctor.verdict import Level, Verdict
from podmap.doctor.versions import check_versions

REQUIRES = [
    "click>=8.1",
    "ruamel-yaml>=0.18.6",
    "kubernetes-asyncio>=32; extra == 'kubernetes'",
    "apache-airflow>=3.3; extra == 'airflow'",
    "podmap[airflow,kubernetes]; extra == 'all'",
]
THERE = {"click": "8.2.0", "ruamel-yaml": "0.18.6"}


def found(there: Mapping[str, str], *needed: str) -> list[Verdict]:
    return check_versions(needed, requires=REQUIRES, installed=there.get)


def test_packages_that_fit_are_one_line() -> None:
    (verdict,) = found({**THERE, "podmap": "0.1.0"})
    assert (Level.OK, True) == (verdict.level, "podmap 0.1.0" in verdict.found)


def test_a_package_below_its_bound_hurts() -> None:
    (verdict,) = found({**THERE, "apache-airflow": "3.2.9"})
    assert (Level.HURTS, "versions: apache-airflow") == (verdict.level, verdict.name)
    assert "3.2.9 is installed; podmap is made for >=3.3" in verdict.found
    assert "pip install 'apache-airflow>=3.3'" == verdict.setting


def test_ten_is_more_than_nine() -> None:
    assert [] == [each for each in found({**THERE, "click": "8.10"}) if each.level is Level.HURTS]


def test_an_extra_is_missed_only_where_it_is_needed() -> None:
    assert [Level.OK] == [each.level for each in found(THERE)]
    (verdict,) = found(THERE, "kubernetes")
    assert "versions: kubernetes-asyncio" == verdict.name
    assert "pip install 'podmap[kubernetes]'" == verdict.setting


def test_a_package_that_podmap_always_needs_is_missed() -> None:
    (verdict,) = found({"click": "8.2.0"})
    assert ("versions: ruamel-yaml", Level.HURTS) == (verdict.name, verdict.level)


def test_this_installation_fits() -> None:
    assert [Level.OK] == [each.level for each in check_versions({"kubernetes", "objects"})]
