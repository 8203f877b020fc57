"""What data may change of how its trial runs; what runs is for the spec to decide."""

from __future__ import annotations

import re
from collections.abc import Iterator

from podmap.spec.entries import SecretRef
from podmap.spec.findings import Finding, Place, show
from podmap.spec.model import TrialPatch, TrialTemplate
from podmap.spec.pod_texts import check_data_texts

SAFE = ("resources", "shm", "timeout", "deadline", "env")
"""The keys of `trial` in an item from a file, an XCom or `experiments=`; of `env` plain values."""

_WAY_OUT = (
    "write it in the spec, by params in trial.cases; or let data decide what runs: "
    "search.item_patches: all"
)
# Variables by which a loader, a shell, an interpreter or a client runs or reads something else, or
# sends what it knows elsewhere. A spec that sets one itself may have its value from data.
_DECIDING = re.compile(
    r"PATH|IFS|PS4|ENV|SHELL|SHELLOPTS|HOME|EDITOR|PAGER|BROWSER|CLASSPATH|PROMPT_COMMAND"
    r"|(LD_|DYLD_|BASH|PYTHON|PERL|RUBY|NODE_|LUA_|R_|JAVA_|_JAVA_|JDK_|GIT_|PIP_|UV_|CONDA"
    r"|VIRTUAL_ENV|AIRFLOW|KUBE|AWS_|AZURE_|GOOGLE_|CLOUDSDK_|DOCKER_|XDG_|GCONV_|GLIBC_|FSSPEC_"
    r"|SSL_|OPENSSL_|OMPI_|PMIX_|PRTE_|JULIA_|NPM_|CARGO_|RUSTC).*"
    r"|LOCPATH|NLSPATH"
    r"|.*(_PROXY|_PRELOAD|_PATH|_CA_BUNDLE|_PLUGINS?|_ENDPOINT|_ENDPOINT_URL|_BASE_URL|_INDEX_URL"
    r"|_TRACKING_URI)",
    re.IGNORECASE,
)


def check_data_patch(place: Place, patch: TrialPatch, template: TrialTemplate) -> Iterator[Finding]:
    """What a patch that comes from data may not change.

    Args:
        place: Where it stands.
        patch: Of the right types.
        template: The spec's.
    """
    for name in sorted(patch.model_fields_set - set(SAFE)):
        message = f"data may not set {name}: only {', '.join(SAFE)}"
        yield Finding((*place, name), message, _WAY_OUT, on="key")
    plain, secret = _variables(template)
    for name, value in (patch.env or {}).items():
        if not isinstance(value, str):
            what = "a secret" if isinstance(value, SecretRef) else "what only a pod has"
            why = f"data may not ask for {what}"
        elif name in secret:
            why = f"{show(name)} is a secret of the spec, or a pod's, which data may not replace"
        elif name not in plain and _DECIDING.fullmatch(name):
            why = f"{show(name)} can decide what runs, and the spec does not set it"
        else:
            continue
        yield Finding((*place, "env", name), why, _WAY_OUT)


def check_data_template(template: TrialTemplate) -> Iterator[Finding]:
    """Placeholders of a template by which params that come from data would decide what runs.

    Args:
        template: The spec's.
    """
    parts: list[tuple[Place, TrialPatch]] = [(("trial",), template)]
    parts += [(("trial", "cases", index), case) for index, case in enumerate(template.cases)]
    for place, part in parts:
        for finding in check_data_texts(place, part, ("params",)):
            yield Finding(finding.place, finding.message, _WAY_OUT)


def _variables(template: TrialTemplate) -> tuple[set[str], set[str]]:
    """The names of the spec's plain variables, and of those that are taken from elsewhere."""
    found: tuple[set[str], set[str]] = (set(), set())
    for part in (template, *template.cases):
        for name, value in (part.env or {}).items():
            found[not isinstance(value, str)].add(name)
    return found
