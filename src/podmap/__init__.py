"""Large ML sweeps on Apache Airflow and Kubernetes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from podmap._version import __version__

if TYPE_CHECKING:
    from podmap.loading import Run, load

__all__ = ["Run", "__version__", "load"]


def __getattr__(name: str) -> Any:
    # Lazily, so that `import podmap` costs next to nothing where only a part is needed.
    if name in ("Run", "load"):
        from podmap import loading

        return getattr(loading, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
