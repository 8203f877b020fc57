"""Reads a run for the web app: what is known stays known, so that a refresh reads what is new."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from podmap import names
from podmap.clock import utc_now
from podmap.errors import RecordError, SpecError
from podmap.ledger.ledger import Ledger
from podmap.ledger.manifest import Manifest
from podmap.ledger.run_state import RunState
from podmap.records import Diagnosis, Record, TrialState
from podmap.report.document import RunFacts, build_view, run_importance
from podmap.report.facts import TrialFacts, trial_facts
from podmap.report.importance import Importance
from podmap.report.live_curves import LiveCurves
from podmap.report.plain import cut
from podmap.report.rows import RowBuilder
from podmap.report.trial_prices import TrialPrices
from podmap.spec.load import load
from podmap.spec.model import Sweep

_STEP = 0.05
_EXAMPLES = 2
"""Trials of which a diagnosis is kept, of each category."""


class RunReader:
    """A run, read again and again. Thread-safe; every call may block, and asks the store.

    All that ended trials leave is kept in memory, about 2 KB a trial and 500 bytes more for each
    metric that it reports: let go of the reader when nobody looks any more.
    """

    def __init__(self, ledger: Ledger) -> None:
        """Nothing is read yet.

        Args:
            ledger: Of the run.
        """
        self._ledger = ledger
        self._board = ledger.board()
        self._lock = threading.Lock()
        self._trials: dict[int, TrialFacts] = {}
        self._seen: dict[int, str] = {}
        self._broken: dict[int, str] = {}
        self._diagnoses: dict[tuple[int, str], Diagnosis] = {}
        self._spec: Mapping[str, Any] | None = None
        self._sweep: Sweep | None = None
        self._prices: TrialPrices | None = None
        self._spec_problem = ""
        self._live: LiveCurves | None = None
        self._importance: Importance | None = None
        self._measured_at = 0
        self._run: RunFacts | None = None
        self._etag = ""

    def refresh(self) -> str:
        """Reads what is new, and returns the view's tag: the same text as long as nothing changed.

        Raises:
            UsageError: There is no such run.
            StoreError: The store could not be asked.
            RecordError: The manifest cannot be understood.
        """
        with self._lock:
            manifest = self._ledger.read_manifest()
            broken: list[RecordError] = []
            state = self._ledger.read_state(on_broken=broken.append)
            versions = self._board.versions()
            known = [names.digest(manifest.to_json()), manifest.total, state.to_json()]
            self._read_spec(manifest)
            if self._live is not None:
                self._live.read()
                known.append(self._live.count)
            etag = _digest([*known, [str(error) for error in broken], list(versions.items())])
            if etag != self._etag or "" in versions.values():
                self._read_trials(versions, manifest)
                self._run = self._facts(manifest, state, broken)
                self._etag = etag
            return self._etag

    def view(
        self,
        *,
        links: Mapping[str, str | None] | None = None,
        curve_metric: str | None = None,
    ) -> dict[str, Any]:
        """The view of what the last `refresh` has read; it refreshes if there was none.

        Args:
            links: As for `build_view`.
            curve_metric: As for `build_view`.

        Raises:
            PodmapError: As for `refresh`.
        """
        made_s = utc_now().timestamp()
        run = self.facts()
        return build_view(run, made_s=made_s, links=links or {}, curve_metric=curve_metric)

    def facts(self) -> RunFacts:
        """What the last `refresh` has read; it refreshes if there was none.

        Raises:
            PodmapError: As for `refresh`.
        """
        if self._run is None:
            self.refresh()
        if self._run is None:
            raise RecordError(f"{self._ledger.run_uri} was not read")
        return self._run

    def _read_spec(self, manifest: Manifest) -> None:
        if manifest.spec == self._spec:
            return
        self._spec, self._sweep, self._spec_problem = manifest.spec, None, ""
        self._prices = None
        self._trials, self._seen, self._importance = {}, {}, None
        try:
            self._sweep = load(manifest.spec, search_required=False).sweep
            self._prices = TrialPrices(self._sweep)
        except SpecError as error:
            self._spec_problem = f"{names.MANIFEST}: {error}"
        prunes = self._sweep is not None and self._sweep.prune is not None
        self._live = LiveCurves(self._ledger) if prunes else None

    def _read_trials(self, versions: Mapping[int, str], manifest: Manifest) -> None:
        new = {n: version for n, version in versions.items() if self._is_new(n, version)}
        for gone in self._trials.keys() - versions.keys():
            del self._trials[gone]
        self._broken = {n: text for n, text in self._broken.items() if n in versions.keys() - new}
        broken: list[RecordError] = []
        builder = RowBuilder(self._sweep.objectives if self._sweep else ())
        left = set(new)
        for record in self._board.read(new, on_broken=broken.append):
            left.discard(record.number)
            self._keep(record, builder, manifest)
        for number in left:
            self._trials.pop(number, None)
            prefix = self._ledger.record_uri(number)
            told = next((str(error) for error in broken if prefix in str(error)), "")
            if told:
                self._broken[number] = f"{names.record_path(number)}: {told}"
        self._seen = dict(versions)

    def _is_new(self, number: int, version: str) -> bool:
        return not version or self._seen.get(number) != version

    def _keep(self, record: Record, builder: RowBuilder, manifest: Manifest) -> None:
        is_brief = record.state.terminal and not record.key
        if is_brief and self._board.steps(record.number) != 0:
            record = self._whole(record)
        price = self._prices.of_trial(record, manifest) if self._prices else None
        row = builder.row(record)
        self._trials[record.number] = trial_facts(record, row, hourly_price=price)

    def _whole(self, record: Record) -> Record:
        try:
            return self._ledger.read_record(record.number) or record
        except RecordError:
            return record

    def _facts(self, manifest: Manifest, state: RunState, broken: list[RecordError]) -> RunFacts:
        trials = [self._trials[number] for number in sorted(self._trials)]
        if self._live is not None and self._sweep is not None:
            metric = self._sweep.objectives[0].metric if self._sweep.objectives else ""
            trials = [self._live.with_curve(trial, cut(metric)) for trial in trials]
        texts = [*map(str, broken), *self._broken.values()]
        if self._spec_problem:
            texts.insert(0, self._spec_problem)
        run = RunFacts(
            uri=self._ledger.run_uri,
            manifest=manifest,
            state=state,
            sweep=self._sweep,
            trials=trials,
            broken=texts,
            broken_trials=len(self._broken),
        )
        self._measure_importance(run)
        return replace(run, diagnoses=self._read_diagnoses(trials), importance=self._importance)

    def _measure_importance(self, run: RunFacts) -> None:
        """Measures it anew once there are a twentieth more complete trials, and at the end."""
        counts = run.counts
        complete = counts[TrialState.COMPLETE.value]
        least, most = self._measured_at * (1 - _STEP), self._measured_at * (1 + _STEP)
        over = all(TrialState(state).terminal for state, n in counts.items() if n)
        if self._importance is None or over or not least < complete < most:
            self._importance, self._measured_at = run_importance(run), complete

    def _read_diagnoses(self, trials: list[TrialFacts]) -> Mapping[tuple[int, str], Diagnosis]:
        examples: dict[str, list[int]] = {}
        for trial in trials:
            for end in {attempt.end for attempt in trial.attempts if attempt.end}:
                known = examples.setdefault(end, [])
                if len(known) < _EXAMPLES:
                    known.append(trial.number)
        kept = {(number, end) for end, numbers in examples.items() for number in numbers}
        self._diagnoses = {pair: why for pair, why in self._diagnoses.items() if pair in kept}
        for number, end in sorted(kept - self._diagnoses.keys()):
            try:
                record = self._ledger.read_record(number)
            except RecordError:
                continue
            for attempt in record.attempts if record else ():
                if attempt.diagnosis and attempt.diagnosis.category.value == end:
                    self._diagnoses[number, end] = attempt.diagnosis
        return dict(self._diagnoses)


def run_view(
    ledger: Ledger,
    *,
    links: Mapping[str, str | None] | None = None,
    curve_metric: str | None = None,
) -> dict[str, Any]:
    """The view of a run, read once.

    Args:
        ledger: Of the run.
        links: As for `build_view`.
        curve_metric: As for `build_view`.

    Raises:
        UsageError: There is no such run.
        StoreError: The store could not be asked.
        RecordError: The manifest cannot be understood.
    """
    reader = RunReader(ledger)
    reader.refresh()
    return reader.view(links=links, curve_metric=curve_metric)


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str).encode()
    return hashlib.blake2b(text, digest_size=12).hexdigest()
