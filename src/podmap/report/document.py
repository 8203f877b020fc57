"""The view of a run: the one JSON document that the web app reads, made of what is known of it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from podmap._version import __version__
from podmap.ledger.manifest import Manifest
from podmap.ledger.run_state import RunState
from podmap.records import Diagnosis, TrialState
from podmap.report.curves import curve_columns
from podmap.report.facts import TrialFacts
from podmap.report.failures import failures
from podmap.report.importance import Importance, importance
from podmap.report.leaderboard import rank_trials
from podmap.report.param_kinds import param_kinds
from podmap.report.phase import run_phase, waiting_for
from podmap.report.plain import cut, epoch_s
from podmap.report.rows import TrialRow
from podmap.report.timeline import Names, attempt_columns, newest_events
from podmap.report.words import spec_yaml
from podmap.spec.model import Objective, Sweep

SCHEMA = 1
BROKEN = 100
_STATES = tuple(state.value for state in TrialState)
_NO_LINKS: Mapping[str, str | None] = {"airflow": None, "trial": None}


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What is known of a run.

    Attributes:
        uri: Its folder.
        manifest: What it is.
        state: What is decided for it.
        sweep: Its spec; None if this version does not understand it.
        trials: Those that have a record, by ascending number.
        broken: Why files cannot be understood, a line each.
        broken_trials: How many of them are records.
        diagnoses: Trial and category to a diagnosis that one of its attempts has.
        importance: Which params matter, if that is known already.
    """

    uri: str
    manifest: Manifest
    state: RunState
    sweep: Sweep | None
    trials: Sequence[TrialFacts]
    broken: Sequence[str] = ()
    broken_trials: int = 0
    diagnoses: Mapping[tuple[int, str], Diagnosis] = field(default_factory=dict)
    importance: Importance | None = None

    @property
    def counts(self) -> dict[str, int]:
        """State to number of trials, of all that are planned; every state is there."""
        counts = Counter(trial.state.value for trial in self.trials)
        counts[TrialState.UNKNOWN.value] += self.broken_trials
        unwritten = max(0, self.manifest.total - sum(counts.values()))
        pending = sum(trial.is_pending for trial in self.trials)
        counts[TrialState.RUNNING.value] -= pending
        counts[TrialState.WAITING.value] += unwritten + pending
        return {state: counts[state] for state in _STATES}


def build_view(
    run: RunFacts,
    *,
    made_s: float,
    links: Mapping[str, str | None] = _NO_LINKS,
    curve_metric: str | None = None,
) -> dict[str, Any]:
    """The view, as `docs/contributing/view.md` describes it.

    Args:
        run: What is known of the run.
        made_s: The time now, in seconds since 1970.
        links: Where Airflow's pages are; those that are not there are None.
        curve_metric: The metric of the curves; None for the objective, else the first reported.
    """
    trials, sweep = run.trials, run.sweep
    objectives = sweep.objectives if sweep else ()
    counts = run.counts
    goals = [cut(goal.metric) for goal in objectives]
    metrics = dict.fromkeys([*goals, *(name for one in trials for name in one.metrics)])
    return {
        "schema": SCHEMA,
        "podmap": __version__,
        "made": round(made_s, 3),
        **_run_part(run, counts),
        "counts": counts,
        "broken": list(run.broken[:BROKEN]),
        **_ranking(run, objectives),
        "search": _search(sweep),
        "spec": spec_yaml(run.manifest.spec),
        "budget": _budget(run, counts, made_s),
        "params": param_kinds(_dimensions(sweep), [trial.params for trial in trials]),
        "metrics": list(metrics),
        **_trial_columns(trials, list(metrics)),
        "states": list(_STATES),
        **attempt_columns(trials),
        "curves": curve_columns(trials, curve_metric or (goals[0] if goals else None)),
        "importance": (run.importance or run_importance(run)).to_json(),
        "failures": failures(trials, lambda number, end: run.diagnoses.get((number, end))),
        "events": newest_events(trials),
        "links": {**_NO_LINKS, **links},
    }


def build_line(run: RunFacts) -> dict[str, Any]:
    """The run as a line in a list of runs; of repeats the best value is the best mean.

    Args:
        run: What is known of it.
    """
    counts, objectives = run.counts, run.sweep.objectives if run.sweep else ()
    head = _run_part(run, counts)["run"]
    best, _ = _best_rows(run, objectives)
    goal = objectives[0] if objectives else None
    return {
        "key": f"{head['sweep']}/{head['id']}",
        **{name: head[name] for name in ("sweep", "id", "uri", "state", "total", "owner")},
        **{name: head[name] for name in ("created", "started", "finished")},
        "counts": counts,
        "best": best.objectives[0] if best else None,
        "metric": cut(goal.metric) if goal else None,
        "goal": goal.direction if goal else None,
        "error": "",
    }


def _run_part(run: RunFacts, counts: Mapping[str, int]) -> dict[str, Any]:
    manifest, sweep = run.manifest, run.sweep
    phase, reason = run_phase(counts, run.state)
    parallelism = run.state.parallelism
    if parallelism is None:
        parallelism = sweep.parallelism if sweep else 0
    pending = sum(trial.is_pending for trial in run.trials)
    again = Counter(one.reason for one in run.trials if one.is_tried_again)
    waits = waiting_for(
        phase,
        reason,
        again=again,
        unstarted=counts[TrialState.WAITING.value] - pending - again.total(),
        pending=pending,
        parallelism=parallelism,
    )
    return {
        "run": {
            "uri": run.uri,
            "sweep": manifest.sweep,
            "id": manifest.run_id,
            "state": phase,
            "reason": reason,
            "owner": {name: value for name, value in manifest.owner.items() if name != "epoch"},
            "backend": manifest.backend,
            "runtime": manifest.runtime,
            "namespace": manifest.namespace,
            "created": epoch_s(manifest.created),
            "started": _started(run),
            "finished": _finished(run) if phase == "ended" else None,
            "total": sum(counts.values()),
            "parallelism": parallelism,
            "repeats": sweep.repeats if sweep else 1,
            "max_steps": getattr(sweep.prune, "max_steps", None) if sweep else None,
        },
        "waiting_for": waits,
    }


def _ranking(run: RunFacts, objectives: Sequence[Objective]) -> dict[str, Any]:
    best, front = _best_rows(run, objectives)
    return {
        "objectives": [
            {"metric": cut(goal.metric), "goal": goal.direction, "target": goal.target}
            for goal in objectives
        ],
        "best": best.number if best else None,
        "pareto": [row.number for row in front],
    }


def _best_rows(
    run: RunFacts, objectives: Sequence[Objective]
) -> tuple[TrialRow | None, list[TrialRow]]:
    """The first row of the leaderboard, if there is one objective, and the Pareto front if more."""
    rows = [trial.row for trial in run.trials]
    repeats = run.sweep.repeats if run.sweep else 1
    ranked, front, _ = rank_trials(rows, objectives, repeats=repeats)
    return (ranked[0] if ranked and len(objectives) == 1 else None), front


def _started(run: RunFacts) -> float | None:
    return min((one.started for one in run.trials if one.started is not None), default=None)


def _finished(run: RunFacts) -> float | None:
    """When a run that is over was; its report is written before that is noted."""
    last = max((one.finished for one in run.trials if one.finished is not None), default=None)
    return epoch_s(run.state.finished) or last


def _dimensions(sweep: Sweep | None) -> Mapping[str, Any]:
    params = getattr(sweep.search, "params", None) if sweep else None
    return params if isinstance(params, Mapping) else {}


def _search(sweep: Sweep | None) -> dict[str, str]:
    search = sweep.search if sweep else None
    if search is None:
        return {"kind": "list", "text": "trials that a DAG gives"}
    varied = sum(
        not isinstance(one, (str, int, float, bool, type(None)))
        for one in _dimensions(sweep).values()
    )
    kind = getattr(search, "sampler", None) or search.kind
    return {
        "kind": search.kind,
        "text": f"{kind} over {varied} param{'s' * (varied != 1)}" if varied else kind,
    }


def _budget(run: RunFacts, counts: Mapping[str, int], made_s: float) -> dict[str, Any]:
    limits = run.sweep.budget if run.sweep else None
    gpu_s = math.fsum(trial.gpu_s for trial in run.trials)
    wasted_s = math.fsum(trial.wasted_gpu_s for trial in run.trials)
    started, until = _started(run), made_s
    if run_phase(counts, run.state)[0] == "ended":
        until = _finished(run) or made_s
    wall_s = None if started is None else round(max(0.0, until - started), 3)
    return {
        "gpu_hours": {
            "spent": round(gpu_s / 3600, 6),
            "wasted": round(wasted_s / 3600, 6),
            "limit": limits.gpu_hours if limits else None,
        },
        "cost": _cost(run),
        "wall_s": {"spent": wall_s, "limit": limits.wall if limits else None},
    }


def _cost(run: RunFacts) -> dict[str, Any]:
    """What attempts that have ended have cost; null without a price table, or if it is unknown."""
    limits = run.sweep.budget if run.sweep else None
    if limits is None or limits.prices is None:
        return {"spent": None, "wasted": None, "limit": None, "currency": ""}
    ran = [(one.hourly_price, one.ran_s, one.wasted_s) for one in run.trials if one.ran_s]
    priced = [(price, ran_s, wasted_s) for price, ran_s, wasted_s in ran if price is not None]
    spent = math.fsum(price * ran_s for price, ran_s, _ in priced) / 3600
    wasted = math.fsum(price * wasted_s for price, _, wasted_s in priced) / 3600
    is_known = len(priced) == len(ran)
    return {
        "spent": round(spent, 6) if is_known else None,
        "wasted": round(wasted, 6) if is_known else None,
        "limit": limits.cost,
        "currency": limits.prices.currency,
    }


def _trial_columns(trials: Sequence[TrialFacts], metrics: Sequence[str]) -> dict[str, Any]:
    params = dict.fromkeys(name for trial in trials for name in trial.params)
    places = {state: place for place, state in enumerate(TrialState)}
    texts = Names()
    return {
        "trials": {
            "number": [trial.number for trial in trials],
            "state": [places[trial.state] for trial in trials],
            "params": {name: [trial.params.get(name) for trial in trials] for name in params},
            "metrics": {name: [trial.metrics.get(name) for trial in trials] for name in metrics},
            "repeat": (
                [trial.row.repeat for trial in trials]
                if any(trial.row.repeat for trial in trials)
                else []
            ),
            "started": [trial.started for trial in trials],
            "finished": [trial.finished for trial in trials],
            "duration_s": [trial.row.duration_s for trial in trials],
            "queued_s": [trial.queued_s for trial in trials],
            "gpu_s": [trial.gpu_s for trial in trials],
            "reason": [texts.place(trial.reason) for trial in trials],
        },
        "texts": texts.texts,
    }


def run_importance(run: RunFacts) -> Importance:
    """Which params matter for the first objective.

    Args:
        run: What is known of the run.
    """
    objectives = run.sweep.objectives if run.sweep else ()
    if not objectives:
        return Importance("there is no objective")
    known = [
        (trial.params, value)
        for trial in run.trials
        if trial.state is TrialState.COMPLETE
        and (value := trial.row.objectives[0] if trial.row.objectives else None) is not None
    ]
    maximize = objectives[0].direction == "maximize"
    params, values = [one for one, _ in known], [value for _, value in known]
    kinds = param_kinds(_dimensions(run.sweep), [trial.params for trial in run.trials])
    return importance(kinds, params, values, maximize=maximize)
