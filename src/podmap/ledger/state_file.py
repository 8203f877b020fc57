"""The file `run.json` of a run: how it is read, and changed by many processes at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from podmap import names
from podmap.errors import RecordError
from podmap.ledger import encode
from podmap.ledger.run_state import RunState
from podmap.ledger.store import Store

log = logging.getLogger(__name__)


def read_state(store: Store) -> RunState:
    """What is decided for the run; the defaults if nothing was.

    Raises:
        RecordError: The file cannot be understood; the message names it.
        StoreError: It could not be asked for.
    """
    return _parsed(store.read(names.RUN_STATE), store)


def change_state(store: Store, change: Callable[[RunState], Mapping[str, Any]]) -> RunState:
    """Changes what is decided for the run, and returns all of it.

    What cannot be understood must not keep a run from going on, or from being stopped: it is kept
    below `former`, and the file is begun anew.

    Args:
        store: The run's folder.
        change: From what is there to the new values; empty to leave it so. It is called again if
            another process changes the file meanwhile.

    Raises:
        StoreError: The file could not be read or written.
    """
    while True:
        try:
            raw = store.read(names.RUN_STATE)
        except RecordError as error:
            return _begun_anew(store, change, error)
        try:
            state, broken = _parsed(raw, store), None
        except RecordError as error:
            state, broken = RunState(), error
        changes = change(state)
        if not changes and broken is None:
            return state
        if broken is not None and raw is not None:
            log.warning("begun anew, and kept as %s: %s", _keep(store, raw), broken)
        state = state.changed(changes)
        if store.replace(names.RUN_STATE, raw, _dumped(state)):
            return state


def _begun_anew(
    store: Store, change: Callable[[RunState], Mapping[str, Any]], error: RecordError
) -> RunState:
    """Writes the file over what is none of podmap's, and cannot be read at all."""
    log.warning("begun anew: %s", error)
    state = RunState().changed(change(RunState()))
    store.write(names.RUN_STATE, _dumped(state))
    return state


def _keep(store: Store, raw: bytes) -> str:
    """Keeps a file that cannot be understood, once; where."""
    path = names.former_state_path(raw)
    store.create(path, raw)
    return f"{store.uri}/{path}"


def _dumped(state: RunState) -> bytes:
    return encode.dump(state.to_json(), what="the run's state")


def _parsed(raw: bytes | None, store: Store) -> RunState:
    if raw is None:
        return RunState()
    uri = f"{store.uri}/{names.RUN_STATE}"
    data = encode.parse(raw, uri=uri, limit_bytes=encode.RECORD_BYTES)
    try:
        return RunState.from_json(data)
    except RecordError as error:
        raise RecordError(f"{uri}: {error}") from error
