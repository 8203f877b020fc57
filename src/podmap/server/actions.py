"""What a page asks to be done with a run: read from JSON, done, and told in a sentence."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from podmap.engine.steering import MOST_PARALLELISM, SteeredRun
from podmap.errors import UsageError
from podmap.json_kinds import shown

if TYPE_CHECKING:
    from podmap.ledger.run_state import RunState

ActionName = Literal["pause", "unpause", "stop", "set", "retry", "delete"]
ACTIONS: tuple[ActionName, ...] = get_args(ActionName)
MOST_BYTES = 256 * 1024
MOST_TRIALS = 20_000
_KEYS: Mapping[str, frozenset[str]] = {
    "pause": frozenset(),
    "unpause": frozenset(),
    "stop": frozenset({"cancel", "reason"}),
    "set": frozenset({"parallelism"}),
    "retry": frozenset({"trials"}),
    "delete": frozenset({"confirm"}),
}


@dataclass(frozen=True, slots=True)
class Action:
    """One thing to do with a run.

    Attributes:
        name: What.
        parallelism: For `set`: from 1; None for what the spec says.
        cancel: For `stop`: whether what runs is ended, too.
        reason: For `stop`.
        trials: For `retry`: their numbers; None for all that are FAILED or CANCELLED.
        confirm: For `delete`: the run's id, as the user has typed it.
    """

    name: ActionName
    parallelism: int | None = None
    cancel: bool = False
    reason: str = ""
    trials: tuple[int, ...] | None = None
    confirm: str = ""

    @classmethod
    def parse(cls, body: bytes) -> Action:
        """The action in a request's body.

        Raises:
            UsageError: It is too long, no JSON object, or asks for what there is not.
        """
        if len(body) > MOST_BYTES:
            raise UsageError(f"the request has {len(body)} bytes; at most {MOST_BYTES} are read")
        try:
            data = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"the request is no JSON: {error}") from None
        if not isinstance(data, dict):
            raise UsageError(f"the request is {shown(data)}, not a JSON object")
        name = data.pop("action", None)
        if name not in ACTIONS:
            raise UsageError(f"action: {shown(name)} is not one of {', '.join(ACTIONS)}")
        unknown = sorted(data.keys() - _KEYS[name])
        if unknown:
            allowed = ", ".join(sorted(_KEYS[name])) or "nothing"
            raise UsageError(f"{name} takes {allowed}, not {shown(unknown[0])}")
        if name == "set" and "parallelism" not in data:
            raise UsageError("set needs parallelism: a number, or null for what the spec says")
        return cls(
            name,
            _parallelism(data.get("parallelism")),
            _of_kind(data, "cancel", bool, False),
            _of_kind(data, "reason", str, ""),
            _numbers(data.get("trials")),
            _of_kind(data, "confirm", str, ""),
        )


def carry_out(action: Action, run: SteeredRun, *, by: str) -> str:
    """Does it, and says in a sentence what was done.

    Args:
        action: What to do.
        run: With which run.
        by: Who asks, and where: it stands in the run's records.

    Raises:
        UsageError: It cannot be done with this run now; the message says why.
        ConflictError: A process of this host runs the run, which is to be deleted.
        UnreachableError: The store, or what runs the trials, cannot be asked.
    """
    return _DOERS[action.name](action, run, by)


def _pause(action: Action, run: SteeredRun, by: str) -> str:
    return _told(run, run.pause(), "paused: no new attempts start, those that run go on")


def _unpause(action: Action, run: SteeredRun, by: str) -> str:
    return _told(run, run.unpause(), "goes on: new attempts start again")


def _stop(action: Action, run: SteeredRun, by: str) -> str:
    states = run.stop(by=by, reason=action.reason, cancel=action.cancel)
    ended = "what runs is ended" if states[1].cancel else "those that run go on to their end"
    return _told(run, states, f"stopped: no new trials start, {ended}")


def _set(action: Action, run: SteeredRun, by: str) -> str:
    value = "as the spec has it" if action.parallelism is None else str(action.parallelism)
    return _told(run, run.set_parallelism(action.parallelism), f"parallelism is {value}")


def _retry(action: Action, run: SteeredRun, by: str) -> str:
    numbers, goes_on = run.retry(action.trials or (), failed=action.trials is None)
    if not numbers:
        return "no trial is failed or cancelled"
    trials = f"{len(numbers)} trial{'s' if len(numbers) > 1 else ''}"
    if goes_on:
        return f"{trials} will be run again within 3 s"
    return f"{trials} will be run again once the run goes on: podmap resume {run.reference}"


def _delete(action: Action, run: SteeredRun, by: str) -> str:
    if action.confirm != run.manifest.run_id:
        raise UsageError(
            f"to delete the run, type its id, {run.manifest.run_id}, not {shown(action.confirm)}"
        )
    ended = run.delete(by=by)
    also = f", ended {ended} trial{'s' if ended > 1 else ''}" if ended else ""
    return f"deleted {run.ledger.run_uri}{also}"


_DOERS: Mapping[str, Callable[[Action, SteeredRun, str], str]] = {
    "pause": _pause,
    "unpause": _unpause,
    "stop": _stop,
    "set": _set,
    "retry": _retry,
    "delete": _delete,
}


def _told(run: SteeredRun, states: tuple[RunState, RunState], text: str) -> str:
    if states[0] == states[1]:
        return f"already {text}"
    if run.is_airflows or run.pid is not None:
        return f"{text}; obeyed within 3 s"
    return f"{text}; obeyed within 3 s where the run goes on, else once it is resumed"


def _parallelism(value: Any) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= MOST_PARALLELISM:
        raise UsageError(
            f"parallelism: {shown(value)} is not a whole number from 1 to {MOST_PARALLELISM}"
        )
    return value


def _numbers(value: Any) -> tuple[int, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(type(each) is int and each >= 0 for each in value):
        raise UsageError(f"trials: {shown(value)} is not a list of numbers of trials")
    if len(value) > MOST_TRIALS:
        raise UsageError(f"trials: {len(value)} are named, at most {MOST_TRIALS} can be")
    return tuple(value)


def _of_kind(data: Mapping[str, Any], key: str, kind: type[Any], usual: Any) -> Any:
    value = data.get(key, usual)
    if not isinstance(value, kind):
        raise UsageError(
            f"{key}: {shown(value)} is not {'true or false' if kind is bool else 'a text'}"
        )
    return value
