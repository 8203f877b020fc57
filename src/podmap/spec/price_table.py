"""The price table of a budget: what resources cost an hour, and the file that has it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from podmap.errors import UsageError
from podmap.spec.types import Model

MOST = 1e9
"""What anything may cost an hour: so the cost of a run is a finite number, whatever it asks for."""
Amount = Annotated[float, Field(ge=0, le=MOST, allow_inf_nan=False)]
KEY = "prices"
VARIABLE = "PODMAP_PRICES"
MAX_BYTES = 1 << 20


class Prices(Model):
    """What an attempt costs an hour, by what it asks for in `resources`."""

    currency: str = Field("USD", min_length=1, max_length=12, description="How amounts are named.")
    source: str = Field("", max_length=1000, description="Where the figures are from, and when.")
    cpu_hour: Amount = Field(0.0, description="A core that is requested.")
    memory_gib_hour: Amount = Field(0.0, description="A GiB of memory.")
    gpu_hour: Amount = Field(0.0, description="A GPU, whoever made it.")
    resources: dict[str, Amount] = Field(
        {}, description="Other resources by name; of a GPU (amd.com/gpu) instead of `gpu_hour`."
    )


def read_prices(path: str) -> dict[str, object]:
    """The price table of a file, as plain data for `budget.prices`.

    Args:
        path: A YAML file with the key `prices`.

    Raises:
        UsageError: It cannot be read, or is no price table; the message says what is wrong.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        with Path(path).expanduser().open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise UsageError(f"{path} has more than {MAX_BYTES} bytes: it is no price table")
        data = YAML(typ="safe", pure=True).load(raw.decode("utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise UsageError(f"the price table {path} cannot be read: {error}") from error
    except RecursionError:
        raise UsageError(f"{path} is nested too deeply: it is no price table") from None
    if not isinstance(data, dict) or not isinstance(data.get(KEY), dict):
        raise UsageError(f"{path} is no price table: it needs the key {KEY}, as in examples/prices")
    if unknown := data.keys() - {KEY}:
        raise UsageError(f"{path}: {', '.join(map(repr, unknown))} is unknown beside {KEY}")
    given: dict[str, object] = data[KEY]
    try:
        Prices.model_validate(given)
    except ValidationError as error:
        found = (
            f"{path}: {'.'.join(map(str, (KEY, *each['loc'])))}: {each['msg']}"
            for each in error.errors()
        )
        raise UsageError("\n".join(found)) from error
    return given
