"""What the deployment sets for all sweeps: Airflow's `[podmap]` section, read when it is needed."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from podmap import uris
from podmap.errors import UsageError

SECTION = "podmap"


def store() -> str:
    """The URI under which runs are kept when the spec names none.

    `[podmap] store`, else the variable PODMAP_STORE, else the folder `podmap` in AIRFLOW_HOME.
    """
    return _named_store() or str(
        Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser() / SECTION
    )


def _named_store() -> str:
    from airflow.sdk.configuration import conf

    configured = conf.get(SECTION, "store", fallback="") or os.environ.get("PODMAP_STORE", "")
    return str(configured)


def uri_policy() -> uris.UriPolicy:
    """What may be opened: `[podmap] uri_schemes`, `data_roots` and `store_roots`.

    The store is always a place of runs and of data; the folder of a spec is one of data.
    """
    from airflow.sdk.configuration import conf

    schemes = conf.get(SECTION, "uri_schemes", fallback="") or ""
    return uris.UriPolicy(
        more_schemes=uris.named_schemes(schemes),
        data_roots=(store(), *_roots("data_roots")),
        store_roots=(store(), *_roots("store_roots")),
    )


def pod_uri_policy() -> uris.UriPolicy:
    """As `uri_policy`, in a trial's own pod, which need not have all of Airflow's settings.

    It can do no more than its own rights allow, wherever the run is said to be.
    """
    policy = uri_policy()
    named = _named_store() or _roots("store_roots")
    return policy if named else replace(policy, store_roots=None)


def _roots(option: str) -> tuple[str, ...]:
    """The URIs and folders of a setting, with commas or line breaks between them."""
    from airflow.sdk.configuration import conf

    text = str(conf.get(SECTION, option, fallback="") or "")
    parts = (part.strip() for part in text.replace("\n", ",").split(","))
    return tuple(part for part in parts if part)


def backend() -> str:
    """What runs trials where a sweep does not say: `[podmap] backend`.

    Raises:
        UsageError: It is not set. There is no default, since local trials are trusted as the
            triggerer is.
    """
    from airflow.sdk.configuration import conf

    chosen = str(conf.get(SECTION, "backend", fallback="") or "").strip()
    if not chosen:
        raise UsageError(
            "nothing says what runs the trials: 'kubernetes' (pods), or 'process' (processes on "
            "the triggerer's machine, which are trusted as the triggerer is); choose one by "
            "sweep(..., backend=...) in the DAG file, or for all sweeps by [podmap] backend "
            "(AIRFLOW__PODMAP__BACKEND)"
        )
    return chosen


def deployment() -> str:
    """The name that tells this Airflow apart from others that write to the same store."""
    from airflow.sdk.configuration import conf

    return str(conf.get(SECTION, "deployment", fallback="") or "airflow")


def prices() -> dict[str, object] | None:
    """The price table of `[podmap] prices`, else of PODMAP_PRICES; None where neither is set.

    Raises:
        UsageError: It cannot be read, or is none.
    """
    from airflow.sdk.configuration import conf

    from podmap.spec.price_table import VARIABLE, read_prices

    path = str(conf.get(SECTION, "prices", fallback="") or os.environ.get(VARIABLE, ""))
    return read_prices(path) if path else None


def trial_names() -> bool:
    """Whether `plan` leaves names for the instances of trials: `[podmap] trial_names`."""
    from airflow.sdk.configuration import conf

    return bool(conf.getboolean(SECTION, "trial_names", fallback=False))


def browse_url(uri: str) -> str:
    """Where a browser finds a file of the store, by `[podmap] browse_url`; empty where nowhere.

    Args:
        uri: The file's, below `[podmap] store`.
    """
    from urllib.parse import quote

    template = _browse_template()
    below = f"{store().rstrip('/')}/"
    if not template or browse_problem() or not uri.startswith(below):
        return ""  # a spec's own store is elsewhere
    path = quote(uri.removeprefix(below))
    if "{path}" in template:
        return template.replace("{path}", path)
    return f"{template.rstrip('/')}/{path}"


def browse_problem() -> str:
    """What is wrong with `[podmap] browse_url`; empty if nothing is."""
    template = _browse_template()
    if not template or template.lower().startswith(("https://", "http://")):
        return ""
    return (
        f"[podmap] browse_url is {template!r}, which is no http or https URL, so there are no "
        "links to records and reports: it says where a browser finds the files of [podmap] store, "
        "as in https://files.example.com/podmap/{path}"
    )


def _browse_template() -> str:
    from airflow.sdk.configuration import conf

    return str(conf.get(SECTION, "browse_url", fallback="") or "").strip()
