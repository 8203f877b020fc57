"""What Airflow is told about this provider."""

from __future__ import annotations

from typing import Any

from podmap._version import __version__

_OPTIONS = {
    "store": {
        "description": "The URI or folder under which runs are kept when a spec "
        "has no `store:`. Every worker and triggerer must reach it.",
        "version_added": "0.1.0",
        "type": "string",
        "example": "s3://bucket/podmap",
        "default": "",
    },
    "backend": {
        "description": "What runs the trials of sweeps that do not say: kubernetes (pods) "
        "or process (processes on the triggerer's machine, trusted as the triggerer is). "
        "There is no default: a sweep that says nothing fails where this is not set.",
        "version_added": "0.1.0",
        "type": "string",
        "example": "kubernetes",
        "default": "",
    },
    "data_roots": {
        "description": "URIs and folders, with commas between them, below which "
        "sweeps may read data (search.items, search.uris), besides the folder of "
        "the spec or DAG file and the store.",
        "version_added": "0.1.0",
        "type": "string",
        "example": "s3://lake/features, /mnt/datasets",
        "default": "",
    },
    "store_roots": {
        "description": "URIs and folders, with commas between them, below which "
        "runs may be kept, besides the store: what a spec may name as its own "
        "`store:`.",
        "version_added": "0.1.0",
        "type": "string",
        "example": "s3://team-a/podmap",
        "default": "",
    },
    "uri_schemes": {
        "description": "Schemes of URIs, with commas between them, that may be "
        "opened besides file, s3, gs, gcs, az and abfs.",
        "version_added": "0.1.0",
        "type": "string",
        "example": "https, sftp",
        "default": "",
    },
    "prices": {
        "description": "A price table, a file that workers can read: what sweeps cost is "
        "counted by it, and budget.cost limited. It goes before a spec's own budget.prices.",
        "version_added": "0.1.0",
        "type": "string",
        "example": "/opt/airflow/prices.yaml",
        "default": "",
    },
    "trial_names": {
        "description": "Whether `plan` leaves names for trials, made of their params, for the "
        "policy podmap.airflow.trial_names to show in Airflow's lists.",
        "version_added": "0.1.0",
        "type": "boolean",
        "example": "True",
        "default": "False",
    },
    "browse_url": {
        "description": "Where a browser finds the files of the store: {path} stands for what "
        "follows the store's URI. Airflow's lists link to records and reports by it.",
        "version_added": "0.1.0",
        "type": "string",
        "example": "https://files.example.com/podmap/{path}",
        "default": "",
    },
    "deployment": {
        "description": "Tells this Airflow apart from others that write to the same store.",
        "version_added": "0.1.0",
        "type": "string",
        "example": "staging",
        "default": "",
    },
}


def get_provider_info() -> dict[str, Any]:
    """The entry point `apache_airflow_provider`."""
    return {
        "package-name": "podmap",
        "name": "podmap",
        "description": "Large ML sweeps: one mapped task and one pod or process per trial.",
        "versions": [__version__],
        "config": {
            "podmap": {
                "description": "Defaults for all sweeps of this deployment.",
                "options": _OPTIONS,
            }
        },
    }
