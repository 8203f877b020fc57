"""Results that are there already, so that a trial need not be run (again)."""

from __future__ import annotations

import logging
import os
import posixpath
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from urllib.parse import urlsplit
from urllib.request import url2pathname

from podmap.backends.base import Observation, Phase
from podmap.clock import iso, parse_iso, utc_now
from podmap.engine.messages import Messages
from podmap.engine.result import Outcome, judge, objective_of
from podmap.engine.settlement import end_record
from podmap.errors import RecordError
from podmap.ledger.keys import KeyIndex
from podmap.records import Record, TrialState
from podmap.uris import masked, open_filesystem, open_regular_file

log = logging.getLogger(__name__)

RESULT_LIMIT_BYTES = 1024 * 1024
_CLOCKS_DIFFER = timedelta(minutes=5)


def rescored_record(record: Record, objectives: Sequence[str]) -> Record | None:
    """A COMPLETE record with the value of these objectives; None if its metrics lack one.

    The key of a trial says nothing of the objective, so the record may be of another one.
    """
    value = objective_of(record.metrics, objectives)
    if value == record.objective:
        return record
    return None if value is None and objectives else replace(record, objective=value)


def reused_record(keys: KeyIndex, fresh: Record, objectives: Sequence[str]) -> Record | None:
    """The record of a trial that another run has finished; None if there is none to use.

    Args:
        keys: The finished trials of the sweep.
        fresh: The trial's own record, of which number, epoch, params and seed stay.
        objectives: Names of the metrics that are needed.

    Raises:
        StoreError: The store could not be asked.
    """
    try:
        found = keys.find_record(fresh.key)
    except RecordError as error:
        log.warning("trial %d is run, since what was kept of it is broken: %s", fresh.number, error)
        return None
    usable = rescored_record(found.record, objectives) if found else None
    if found is None or usable is None:
        return None
    return replace(
        fresh,
        state=TrialState.COMPLETE,
        metrics=usable.metrics,
        objective=usable.objective,
        outputs=usable.outputs,
        log_tail=usable.log_tail,
        finished=iso(utc_now()),  # and no start: what another run did counts for no time of this
        reason=f"reused from {found.uri}",
    )


def completed_record(record: Record, outcome: Outcome, *, reason: str) -> Record:
    """The record of a trial whose result was found; its end is that of its last attempt.

    An attempt that vanished while nobody watched is not among the record's: then it ends now.
    """
    finished = record.attempts[-1].finished if record.attempts else None
    ended = end_record(record, outcome.state, reason, finished)
    return replace(
        ended, metrics=outcome.metrics, objective=outcome.objective, outputs=outcome.outputs
    )


def result_uri(checkpoint: str, key: str, *, folder: str) -> str:
    """Where `podmap-trial` leaves a trial's result: beside its checkpoint.

    Args:
        checkpoint: A URI, or a path; relative ones start from `folder`.
        key: The trial's key.
        folder: The folder the trial runs in.
    """
    name = f"podmap-result-{key}.json"
    parts = urlsplit(checkpoint)
    if "://" in checkpoint and parts.scheme != "file":
        return f"{posixpath.dirname(checkpoint.rstrip('/'))}/{name}"
    path = url2pathname(parts.path) if parts.scheme == "file" else checkpoint
    return os.path.join(os.path.dirname(os.path.abspath(os.path.join(folder, path))), name)


def read_left_result(uri: str, *, objectives: Sequence[str], since: str) -> Outcome | None:
    """What an attempt left whose end nobody saw; None if there is nothing to use.

    Args:
        uri: As `result_uri` gives it.
        objectives: Names of the metrics that are needed.
        since: UTC ISO 8601; what is clearly older was left by an earlier asking for the trial.
    """
    try:
        raw, modified = _read(uri)
    except FileNotFoundError:
        return None
    # Every store raises errors of its own, and none of them may keep the trial from being run.
    except Exception as error:
        shown = masked(uri), masked(str(error))
        log.warning("cannot look for a result at %s, so the trial is run: %s", *shown)
        return None
    if modified is not None and modified < parse_iso(since) - _CLOCKS_DIFFER:
        return None
    seen = Observation("", "", 0, 0, "", Phase.ENDED, exit_code=0, result=raw)
    outcome = judge(seen, Messages(), objectives=objectives)
    return outcome if raw.strip() and outcome.state is TrialState.COMPLETE else None


def _read(uri: str) -> tuple[bytes, datetime | None]:
    if "://" not in uri:
        with open_regular_file(uri) as file:
            moment = os.fstat(file.fileno()).st_mtime
            return file.read(RESULT_LIMIT_BYTES), datetime.fromtimestamp(moment, timezone.utc)
    filesystem, path = open_filesystem(uri)
    raw: bytes = filesystem.cat_file(path, end=RESULT_LIMIT_BYTES)
    try:
        modified: datetime = filesystem.modified(path)
    except NotImplementedError:
        return raw, None
    return raw, modified if modified.tzinfo else modified.replace(tzinfo=timezone.utc)
