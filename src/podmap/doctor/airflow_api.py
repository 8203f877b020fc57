"""Checks an Airflow by its public API: who is alive, how much waits, how long DAG files take."""

from __future__ import annotations

import functools
import http.client
import json
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from podmap.doctor.airflow_settings import Setting, check_settings, number
from podmap.doctor.verdict import NOT_UNDERSTOOD, Verdict, hurts, ok, unreachable, unseen
from podmap.errors import UnreachableError, UsageError
from podmap.uris import masked

if TYPE_CHECKING:
    from podmap.spec.load import LoadedSpec

AIRFLOW = "airflow"
PARSE = "parse time"
TRIGGERERS = "triggerers"
PROVIDER = "provider"
IMPORTS = "import errors"
TOKEN = "PODMAP_AIRFLOW_TOKEN"
TIMEOUT_S = 30.0
OLDEST = (3, 3)
SLOW_PARSE_S = 10.0
"""Airflow gives up on a DAG file after 30 s ([core] dagbag_import_timeout)."""
MOST_LOAD = 0.9
_PAGE = 100
_MOST_DAGS = 2000
_ANSWER_BYTES = 16 * 2**20

Found = TypeVar("Found")
Get = Callable[[str], Any]
"""The JSON at a path of the API; raises ForbiddenError where this user may not see it."""


class ForbiddenError(UnreachableError):
    """The API says that this user may not see it, or shows it to nobody."""

    forbidden = True


class _SameServer(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the token is for the server that was named."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """None, so that a redirect is an error that says its status."""
        return None


def api_reader(url: str, token: str | None) -> Get:
    """Reads an Airflow's API.

    Args:
        url: Where its web pages are, for example `https://airflow.example.com`.
        token: A bearer token; None to ask as nobody.

    Raises:
        UsageError: It is no http or https URL.
    """
    if not url.startswith(("http://", "https://")):
        raise UsageError(f"--airflow is {url!r}; it can be an http or https URL, or here")

    opener, shown = urllib.request.build_opener(_SameServer), masked(url)

    def get(path: str) -> Any:
        headers = {"Accept": "application/json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        request = urllib.request.Request(f"{url.rstrip('/')}{path}", headers=headers)
        try:
            with opener.open(request, timeout=TIMEOUT_S) as answer:
                return json.loads(answer.read(_ANSWER_BYTES))
        except urllib.error.HTTPError as error:
            error.close()
            kind = ForbiddenError if error.code in (401, 403) else UnreachableError
            raise kind(f"{shown}{path} answers {error.code} {error.reason}") from error
        except (OSError, ValueError, RecursionError, http.client.HTTPException) as error:
            raise UnreachableError(f"{shown}{path} cannot be read: {error}") from error

    return get


def read_setting(url: str) -> Setting:
    """Gives the settings that an Airflow shows, with the token of PODMAP_AIRFLOW_TOKEN.

    Args:
        url: As `api_reader` takes it.

    Raises:
        UsageError: It is no http or https URL.
        UnreachableError: It does not answer.
    """
    get = api_reader(url, os.environ.get(TOKEN))
    get("/api/v2/version")
    return _settings(get)


def check_airflow_api(url: str, loaded: LoadedSpec | None = None) -> list[Verdict]:
    """What is found of an Airflow, asked with the token of the variable PODMAP_AIRFLOW_TOKEN.

    Args:
        url: As `api_reader` takes it.
        loaded: The spec that is to run there; None for no certain one.

    Raises:
        UsageError: It is no http or https URL.
    """
    get = api_reader(url, os.environ.get(TOKEN))
    try:
        found = _understood(lambda: [_version(get, masked(url)), *_health(get)])
    except UnreachableError as error:
        return [
            unreachable(AIRFLOW, str(error), "nothing else of Airflow was looked at", "--airflow")
        ]
    setting = _settings(get)
    found += check_settings(setting, loaded)
    capacity = number(setting, "triggerer", "capacity")
    checks: tuple[tuple[str, Callable[[Get], Verdict]], ...] = (
        (TRIGGERERS, lambda get: _triggerers(get, capacity)),
        (PROVIDER, _provider),
        (PARSE, _parse),
        (IMPORTS, _imports),
    )
    for name, check in checks:
        try:
            found.append(_understood(functools.partial(check, get)))
        except ForbiddenError as error:
            told = f"{error}: a token of a user who may see it, in {TOKEN}"
            found.append(unseen(name, told))
        except UnreachableError as error:
            found.append(unreachable(name, str(error), "it is not known", "ask again"))
    return found


def _understood(look: Callable[[], Found]) -> Found:
    """What is found, of a server whose answers are Airflow's.

    Raises:
        UnreachableError: They are others: something else listens there.
    """
    try:
        return look()
    except NOT_UNDERSTOOD as error:
        message = f"its answer is not one of Airflow's: {type(error).__name__}: {error}"
        raise UnreachableError(message) from error


def _version(get: Get, url: str) -> Verdict:
    version = str(get("/api/v2/version").get("version", "?"))
    digits = [int(part) for part in version.split(".")[:2] if part.isdigit()]
    if len(digits) == 2 and tuple(digits) < OLDEST:
        return hurts(
            AIRFLOW,
            f"Airflow {version} at {url}",
            "podmap's tasks start and end in the triggerer in a way that came with 3.3",
            "Airflow 3.3 or newer",
        )
    return ok(AIRFLOW, f"Airflow {version} at {url}")


def _health(get: Get) -> Iterator[Verdict]:
    parts = {
        "metadatabase": ("airflow's database", "nothing runs", "its database server"),
        "scheduler": ("scheduler", "no task starts", "airflow scheduler"),
        "triggerer": ("triggerer", "no trial starts, and none ends", "airflow triggerer"),
        "dag_processor": ("DAG processor", "no DAG file is read", "airflow dag-processor"),
    }
    health = get("/api/v2/monitor/health")
    for part, (name, why, setting) in parts.items():
        status = (health.get(part) or {}).get("status")
        if status == "healthy":
            yield ok(f"health: {name}", "alive")
        else:
            found = f"Airflow calls it {status or 'not there'}"
            yield hurts(f"health: {name}", found, why, f"start it: {setting}")


def _settings(get: Get) -> Setting:
    def setting(section: str, option: str) -> str | None:
        try:
            answer = get(f"/api/v2/config/section/{section}/option/{option}")
            return str(answer["sections"][0]["options"][0]["value"])
        except (UnreachableError, *NOT_UNDERSTOOD):
            return None

    return setting


def _triggerers(get: Get, capacity: int) -> Verdict:
    jobs = get("/api/v2/jobs?job_type=TriggererJob&job_state=running&is_alive=true")["jobs"]
    hosts = sorted({str(each.get("hostname")) for each in jobs})
    waiting = int(
        get("/api/v2/dags/~/dagRuns/~/taskInstances?state=deferred&limit=1")["total_entries"]
    )
    places = capacity * len(jobs)
    found = (
        f"{len(jobs)} alive ({', '.join(hosts) or 'none'}) with {capacity} places each; "
        f"{waiting} tasks wait in them"
    )
    if jobs and waiting <= MOST_LOAD * places:
        return ok(TRIGGERERS, found)
    return hurts(
        TRIGGERERS,
        found,
        "trials wait for a place, and start late" if jobs else "no trial starts, and none ends",
        "airflow triggerer on more hosts, or a higher [triggerer] capacity",
    )


def _provider(get: Get) -> Verdict:
    found = get(f"/api/v2/providers?limit={_PAGE}")["providers"]
    versions = [each["version"] for each in found if each["package_name"] == "podmap"]
    if versions:
        return ok(PROVIDER, f"the API server has podmap {versions[0]}")
    return hurts(
        PROVIDER,
        "the API server does not have podmap",
        "links to records and reports, and podmap's pages, are missing",
        "pip install 'podmap[airflow]' where the API server runs, too",
    )


def _parse(get: Get) -> Verdict:
    timed = [each for each in _dags(get) if each.get("last_parse_duration") is not None]
    if not timed:
        return unseen(PARSE, "no DAG file of which Airflow says how long it takes")
    slowest = max(timed, key=lambda each: float(each["last_parse_duration"]))
    took_s = float(slowest["last_parse_duration"])
    found = f"the slowest DAG file takes {took_s:.3g} s ({slowest.get('relative_fileloc')})"
    if took_s <= SLOW_PARSE_S:
        return ok(PARSE, found)
    return hurts(
        PARSE,
        found,
        "each task reads its DAG file anew before it begins, and fails beyond 30 s",
        "less work at the top of that file: read data in tasks; [core] dagbag_import_timeout",
    )


def _dags(get: Get) -> Iterator[Any]:
    for first in range(0, _MOST_DAGS, _PAGE):
        page = get(f"/api/v2/dags?limit={_PAGE}&offset={first}")["dags"]
        yield from page
        if len(page) < _PAGE:
            return


def _imports(get: Get) -> Verdict:
    errors = get("/api/v2/importErrors?limit=5")
    count = int(errors["total_entries"])
    if not count:
        return ok(IMPORTS, "every DAG file can be read")
    names = ", ".join(str(each.get("filename")) for each in errors["import_errors"])
    return hurts(
        IMPORTS,
        f"{count} DAG files cannot be read: {names}",
        "their DAGs do not run, or as they were before",
        "airflow dags list-import-errors; podmap lint-dag FILE says what Airflow 3 refuses",
    )
