"""The process in which a sampler is asked: `python -m podmap.search.adaptive.child`.

It reads a line of JSON for each question and answers by one. A sampler that computes for seconds,
leaks or crashes takes this process with it, and nobody else. What it is told comes from records;
nothing of it is unpickled or evaluated.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from pydantic import TypeAdapter

from podmap.errors import PodmapError
from podmap.search.adaptive.past import PastTrial, Sampler, SamplerSetting
from podmap.search.adaptive.samplers import make_sampler
from podmap.search.adaptive.space import Space
from podmap.spec.search import Params


class Conversation:
    """What the process knows: the sampler, and the past by its place in the search."""

    def __init__(self) -> None:
        """Knows nothing yet: the first message says which sampler it is."""
        self._sampler: Sampler | None = None
        self._past: dict[str, list[PastTrial]] = {}

    def answer(self, message: dict[str, Any]) -> dict[str, Any]:
        """The answer to one message: `{point}` or `{error}`."""
        try:
            if "open" in message:
                self._sampler = make_sampler(message["kind"], setting_from_json(message["open"]))
                self._past = {}
            for place, told in message.get("told", {}).items():
                self._past[place] = [PastTrial.from_json(one) for one in told]
            if "ask" not in message or self._sampler is None:
                return {}
            past = [one for told in self._past.values() for one in told]
            point = self._sampler.suggest(message["ask"], past)
            return {"point": {name: float(value) for name, value in point.items()}}
        except PodmapError as error:
            return {"error": str(error)}
        except Exception as error:  # a sampler may raise anything; who asked draws at random
            return {"error": f"{type(error).__name__}: {error}"}


def setting_to_json(setting: SamplerSetting) -> dict[str, Any]:
    """A setting as a JSON object."""
    params = TypeAdapter(Params).dump_python(
        setting.space.params, mode="json", exclude_unset=True, warnings=False
    )
    return {
        "params": params,
        "seed": setting.seed,
        "objectives": setting.objectives,
        "failed": setting.failed,
        "constraints": setting.constraints,
    }


def setting_from_json(data: dict[str, Any]) -> SamplerSetting:
    """The setting in an object made by `setting_to_json`."""
    params: Params = TypeAdapter(Params).validate_python(data["params"])
    return SamplerSetting(
        Space(params),
        data["seed"],
        data["objectives"],
        data["failed"],
        tuple(data["constraints"]),
    )


def main() -> None:
    """Answers until the other side closes; what a library prints goes to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    conversation = Conversation()
    for line in sys.stdin:
        answers.write(json.dumps(conversation.answer(json.loads(line))) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
