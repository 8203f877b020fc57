"""Large ML sweeps on Apache Airflow and Kubernetes."""

from podmap._version import __version__

__all__ = ["__version__"]
