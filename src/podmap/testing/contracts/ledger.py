# ruff: noqa: D102 - the name of a test says what must hold
"""What every store must do for a ledger, as test classes to be subclassed.

A store that only this process sees (`memory://`) subclasses `LedgerContract`; one that other
processes see subclasses `SharedLedgerContract`, which has the same tests with processes as
writers too, and kills some. So no test is skipped: what cannot hold is not asked.

    class TestMyStore(SharedLedgerContract):
        @pytest.fixture
        def store_uri(self) -> str:
            return f"s3://bucket/{uuid4()}"
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import ClassVar

import pytest

from podmap import names
from podmap.errors import AttemptExistsError, OwnerError, RecordError, UsageError
from podmap.ledger.ledger import Ledger
from podmap.ledger.manifest import Manifest
from podmap.ledger.run_state import Decisions, RunState
from podmap.ledger.store import Store
from podmap.records import Attempt, Category, Diagnosis, Record, Shard, TrialState
from podmap.testing.contracts import ledger_writers as writing
from podmap.testing.contracts.store import RUN_ID, StoreContract

MANIFEST = Manifest(
    sweep="digits",
    run_id=RUN_ID,
    owner={"kind": "airflow", "dag_id": "d", "run_id": "r1"},
    created="2026-01-01T00:00:00.000Z",
    spec={"name": "digits", "search": {"kind": "list", "items": [{"lr": 0.1}]}},
    source="digits.yaml",
    count=1,
    plan={"kind": "list"},
    trials_per_task=2,
    folder="/work",
    podmap_version="1.0",
)
ATTEMPT = Attempt(
    number=1,
    pod="digits-0123abcd-3-a1",
    node="n1",
    started="2026-01-01T00:00:00.000Z",
    finished="2026-01-01T00:01:00.000Z",
    exit_code=1,
    diagnosis=Diagnosis(Category.USER_EXIT, "exit 1", "Traceback …", "see the log", own=True),
    memory_bytes=1 << 30,
)
RECORD = Record(
    number=3,
    key="k3",
    epoch="e1",
    state=TrialState.COMPLETE,
    params={"lr": 0.1, "text": "a \"b\"\n'c' {d} é \udc80", "layers": [1, 2], "none": None},
    seed=7,
    shard=Shard("s3://b/day=1/", "day=1", 3, "v1"),
    metrics={"accuracy": 0.9, "loss": None},
    objective=0.9,
    outputs={"model": "s3://b/model"},
    attempts=(ATTEMPT,),
    reason="a warning",
    log_tail="last line",
    started="2026-01-01T00:00:00.000Z",
    finished="2026-01-01T00:01:00.000Z",
    duration_s=60.0,
    queued_s=0.5,
    gpu_seconds=60.0,
)


def record_of(state: str, *, epoch: str = "e1", number: int = 0, reason: str = "") -> Record:
    """A small record."""
    return Record(number, "k", epoch, TrialState(state), reason=reason)


class LedgerContract(StoreContract):
    """What a ledger does on a store; subclasses give the fixture `store_uri`, an empty store."""

    writers: ClassVar[tuple[str, ...]] = ("threads",)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Gives each test that asks for `writers` the kinds that this store can have."""
        if "writers" in metafunc.fixturenames:
            metafunc.parametrize("writers", self.writers)

    @pytest.fixture
    def ledger(self, run_uri: str) -> Iterator[Ledger]:
        """The ledger of that run; the run is deleted at the end."""
        ledger = Ledger.open(run_uri)
        yield ledger
        ledger.delete()

    def test_manifest_is_read_as_written(self, ledger: Ledger) -> None:
        assert ledger.write_manifest(MANIFEST) == MANIFEST
        assert ledger.read_manifest() == MANIFEST

    def test_manifest_of_the_same_owner_stands(self, ledger: Ledger) -> None:
        ledger.write_manifest(MANIFEST)
        assert ledger.write_manifest(replace(MANIFEST, count=99, source="other")) == MANIFEST

    def test_manifest_of_another_owner_is_refused_naming_both(self, ledger: Ledger) -> None:
        ledger.write_manifest(MANIFEST)
        with pytest.raises(OwnerError) as caught:
            ledger.write_manifest(replace(MANIFEST, owner={"kind": "cli"}))
        assert "dag_id=d" in str(caught.value)
        assert "kind=cli" in str(caught.value)
        assert ledger.read_manifest() == MANIFEST

    def test_run_is_planned_anew_by_its_owner_only(self, ledger: Ledger) -> None:
        anew = replace(MANIFEST, count=80, created="2026-02-02T00:00:00.000Z")
        assert ledger.replace_manifest(MANIFEST) == MANIFEST
        assert ledger.replace_manifest(anew) == replace(MANIFEST, count=80)
        with pytest.raises(OwnerError):
            ledger.replace_manifest(replace(anew, owner={"kind": "cli"}))
        assert ledger.read_manifest() == replace(MANIFEST, count=80)

    def test_missing_run_is_said_with_near_ids(self, ledger: Ledger, store_uri: str) -> None:
        near = Ledger.open(names.run_uri(store_uri, "digits", "0123abce"))
        near.write_manifest(MANIFEST)
        with pytest.raises(UsageError) as caught:
            ledger.read_manifest()
        near.delete()
        assert ledger.run_uri in str(caught.value)
        assert "did you mean 0123abce?" in str(caught.value)

    def test_record_is_read_as_written(self, ledger: Ledger) -> None:
        assert ledger.read_record(3) is None
        assert ledger.write_record(RECORD)
        assert ledger.read_record(3) == RECORD

    def test_records_come_by_number(self, ledger: Ledger) -> None:
        for number in (10, 2, 0, 33):
            ledger.write_record(record_of("WAITING", number=number))
        assert ledger.record_numbers() == [0, 2, 10, 33]
        assert [record.number for record in ledger.records()] == [0, 2, 10, 33]

    def test_run_without_records_has_none(self, ledger: Ledger) -> None:
        assert (ledger.record_numbers(), list(ledger.records())) == ([], [])

    @pytest.mark.parametrize("raw", [b"", b'{"schema":1,', b"[]", b'{"schema":1}', b"\xff"])
    def test_bad_record_is_named(self, ledger: Ledger, store: Store, raw: bytes) -> None:
        ledger.write_record(record_of("WAITING", number=5))
        store.write("trials/4.json", raw)
        with pytest.raises(RecordError, match=r"trials/4\.json"):
            ledger.read_record(4)
        broken: list[RecordError] = []
        assert [record.number for record in ledger.records(on_broken=broken.append)] == [5]
        assert ["trials/4.json" in str(error) for error in broken] == [True]

    @pytest.mark.parametrize(
        ("there", "incoming", "replaced"),
        [
            ("e1 RUNNING", "e1 COMPLETE", True),
            ("e1 COMPLETE", "e1 RUNNING", False),
            ("e1 COMPLETE", "e1 CANCELLED", False),
            ("e1 FAILED", "e1 CANCELLED", False),
            ("e1 CANCELLED", "e1 COMPLETE", True),
            ("e1 COMPLETE", "e2 WAITING", True),
            ("e1 COMPLETE", "e2 CANCELLED", False),
            ("e1 FAILED", "e2 WAITING", True),
        ],
    )
    def test_record_stands_or_is_replaced(
        self, ledger: Ledger, there: str, incoming: str, replaced: bool
    ) -> None:
        old, new = (
            record_of(state, epoch=epoch) for epoch, state in (there.split(), incoming.split())
        )
        ledger.write_record(old)
        assert replaced is ledger.write_record(new)
        assert (new if replaced else old) == ledger.read_record(0)

    def test_same_record_can_be_written_again(self, ledger: Ledger) -> None:
        ledger.write_record(record_of("FAILED", epoch="e0", number=3))
        assert [ledger.write_record(RECORD), ledger.write_record(RECORD)] == [True, True]

    def test_replaced_epoch_cannot_come_back(self, ledger: Ledger) -> None:
        ledger.write_record(record_of("RUNNING", epoch="e1"))
        ledger.write_record(record_of("WAITING", epoch="e2"))
        ledger.write_record(record_of("RUNNING", epoch="e2"))
        late = [record_of(state, epoch="e1") for state in ("RUNNING", "CANCELLED", "COMPLETE")]
        assert [ledger.write_record(record) for record in late] == [False] * 3
        assert ledger.read_record(0) == record_of("RUNNING", epoch="e2")

    def test_record_of_a_wild_trial_stays_small(self, ledger: Ledger) -> None:
        wild = Diagnosis(
            Category.USER_EXIT, "s" * 10**5, "début" + "é" * 10**5 + "fin", "r" * 10**5
        )
        attempts = tuple(Attempt(n, "pod", diagnosis=wild) for n in range(1, 6))
        ledger.write_record(replace(RECORD, log_tail="x" * 10**6 + "end", attempts=attempts))
        kept = ledger.read_record(3)
        assert kept is not None
        assert len(kept.log_tail.encode()) <= 4096
        assert kept.log_tail.endswith("end")
        diagnoses = [attempt.diagnosis for attempt in kept.attempts if attempt.diagnosis]
        assert [pytest.approx(len(d.detail.encode()), abs=2) for d in diagnoses] == [512] * 4 + [
            4096
        ]
        assert all(d.detail.endswith("fin") for d in diagnoses)
        assert len(ledger.read_file("trials/3.json") or b"") < 32_000

    def test_attempt_is_written_once(self, ledger: Ledger) -> None:
        ledger.write_attempt(3, ATTEMPT)
        with pytest.raises(AttemptExistsError, match="attempt 1 of trial 3"):
            ledger.write_attempt(3, replace(ATTEMPT, node="n2"))
        assert ledger.attempts(3) == (ATTEMPT,)

    def test_attempts_come_by_number(self, ledger: Ledger) -> None:
        for number in (1, 2, 10):
            ledger.write_attempt(3, replace(ATTEMPT, number=number))
        ledger.write_attempt(30, ATTEMPT)
        again = Ledger.open(ledger.run_uri)
        assert [attempt.number for attempt in again.attempts(3)] == [1, 2, 10]
        assert again.attempts(4) == ()

    def test_next_attempt_number_is_above_all_ever_kept(self, ledger: Ledger) -> None:
        assert ledger.next_attempt_number(3) == 1
        ledger.write_attempt(3, ATTEMPT)
        assert ledger.next_attempt_number(3) == 2
        ledger.write_attempt(3, replace(ATTEMPT, number=5))
        assert Ledger.open(ledger.run_uri).next_attempt_number(3) == 6
        ledger.write_record(replace(RECORD, attempts=(replace(ATTEMPT, number=8),)))
        assert ledger.next_attempt_number(3) == 9

    def test_forgotten_trial_keeps_its_attempt_numbers(self, ledger: Ledger) -> None:
        ledger.write_attempt(3, ATTEMPT)
        ledger.write_record(replace(RECORD, attempts=(ATTEMPT, replace(ATTEMPT, number=2))))
        ledger.write_file(names.SUMMARY, b"{}")
        ledger.delete_record(3)
        ledger.delete_record(3)
        assert (ledger.read_record(3), ledger.read_file(names.SUMMARY)) == (None, None)
        assert ledger.next_attempt_number(3) == 3
        assert ledger.write_record(record_of("WAITING", number=3))

    def test_trial_with_a_bad_record_can_be_forgotten(self, ledger: Ledger, store: Store) -> None:
        store.write("trials/3.json", b"{")
        ledger.delete_record(3)
        assert ledger.read_record(3) is None

    def test_settle_writes_log_attempt_and_record(self, ledger: Ledger) -> None:
        assert ledger.write_end(ATTEMPT, RECORD, b"the log\n")
        attempt = replace(ATTEMPT, log_uri=ledger.log_uri(3, 1))
        assert ledger.attempts(3) == (attempt,)
        assert ledger.read_record(3) == replace(RECORD, attempts=(attempt,))
        assert ledger.read_log(3, 1) == b"the log\n"

    def test_settle_can_be_repeated(self, ledger: Ledger) -> None:
        results = [ledger.write_end(ATTEMPT, RECORD, b"the log\n") for _ in range(2)]
        assert results == [True, True]

    def test_settle_leaves_an_ended_trial_as_it_is(self, ledger: Ledger) -> None:
        ledger.write_end(ATTEMPT, RECORD)
        other = replace(RECORD, state=TrialState.FAILED, attempts=())
        assert not ledger.write_end(replace(ATTEMPT, node="n2"), other)
        assert ledger.read_record(3) == RECORD
        assert ledger.attempts(3) == (ATTEMPT,)

    def test_log_that_is_not_there_is_none(self, ledger: Ledger) -> None:
        assert ledger.read_log(3, 1) is None

    def test_files_are_kept_beside_the_records(self, ledger: Ledger) -> None:
        assert ledger.read_file("report.html") is None
        uri = ledger.write_file("report.html", b"<p>")
        assert (f"{ledger.run_uri}/report.html", b"<p>") == (uri, ledger.read_file("report.html"))

    @pytest.mark.parametrize("name", ["", "../x", "/etc/x", "a/../../x", "a//x"])
    def test_file_names_lead_nowhere_else(self, ledger: Ledger, name: str) -> None:
        with pytest.raises(UsageError):
            ledger.write_file(name, b"x")
        with pytest.raises(UsageError):
            ledger.read_file(name)

    def test_state_has_defaults_and_changes_add_up(self, ledger: Ledger) -> None:
        assert ledger.read_state() == RunState()
        ledger.update_state(parallelism=4)
        assert ledger.update_state(paused=True) == RunState(parallelism=4, paused=True)
        assert ledger.read_state() == RunState(parallelism=4, paused=True)

    def test_state_keeps_keys_of_other_versions(self, ledger: Ledger, store: Store) -> None:
        store.write(names.RUN_STATE, b'{"paused":true,"rungs":[1,2]}')
        ledger.update_state(paused=False)
        assert ledger.read_state() == RunState(extra={"rungs": [1, 2]})

    def test_state_refuses_unknown_values(self, ledger: Ledger) -> None:
        with pytest.raises(UsageError, match="parallelsim"):
            ledger.update_state(parallelsim=4)

    @pytest.mark.parametrize(
        "state",
        ['{"parallelism":-1}', '{"paused":"yes"}', '{"stopped":3}', '{"decided":[]}', "[]", "x"],
    )
    def test_a_state_that_is_none_names_the_file(
        self, ledger: Ledger, store: Store, state: str
    ) -> None:
        store.write(names.RUN_STATE, state.encode())
        with pytest.raises(RecordError, match=re.escape(f"{ledger.run_uri}/{names.RUN_STATE}")):
            ledger.read_state()

    def test_state_carries_what_was_decided(self, ledger: Ledger) -> None:
        decided = Decisions("2026-11-01T09:00:00.000Z", "enough", True, {2**30: 2**31})
        ledger.update_state(decided=decided, parallelism=3)
        assert ledger.read_state() == RunState(parallelism=3, decided=decided)

    def test_state_can_change_by_what_is_there(self, ledger: Ledger, store: Store) -> None:
        assert ledger.change_state(lambda state: {}) == RunState()
        assert store.read(names.RUN_STATE) is None
        for _ in range(3):
            ledger.change_state(lambda state: {"parallelism": (state.parallelism or 0) + 1})
        assert ledger.read_state() == RunState(parallelism=3)

    def test_the_last_attempts_are_asked_anew(self, ledger: Ledger) -> None:
        assert ledger.last_attempts() == {}
        for number, attempt in ((3, 1), (3, 2), (5, 1)):
            ledger.write_attempt(number, replace(ATTEMPT, number=attempt))
        assert ledger.last_attempts() == {3: 2, 5: 1}

    def test_deleted_run_leaves_nothing(self, ledger: Ledger, store: Store) -> None:
        ledger.write_manifest(MANIFEST)
        ledger.write_end(ATTEMPT, RECORD, b"log")
        ledger.delete()
        ledger.delete()
        assert [*store.list(""), *store.folders()] == []
        assert ledger.next_attempt_number(3) == 1

    def test_many_writers_lose_no_record(self, ledger: Ledger, writers: str) -> None:
        writing.run_at_once(writers, writing.own_trials, ledger.run_uri)
        records = list(ledger.records())
        assert list(range(100)) == [record.number for record in records]
        assert {TrialState.COMPLETE} == {record.state for record in records}
        assert all(ledger.read_log(number, 1) == b"log" for number in range(100))

    def test_each_attempt_has_one_winner(self, ledger: Ledger, writers: str) -> None:
        won = writing.run_at_once(writers, writing.same_attempts, ledger.run_uri)
        assert list(range(1, 21)) == sorted(number for numbers in won for number in numbers)
        winners = {number: f"pod-{w}" for w, numbers in enumerate(won) for number in numbers}
        assert winners == {attempt.number: attempt.pod for attempt in ledger.attempts(0)}

    def test_a_run_has_one_owner(self, ledger: Ledger, writers: str) -> None:
        owns = writing.run_at_once(writers, writing.own_the_run, ledger.run_uri)
        assert sum(owns) == 1
        assert ledger.read_manifest().owner["writer"] == owns.index(True)

    def test_nothing_undoes_an_end(self, ledger: Ledger, writers: str) -> None:
        writing.run_at_once(writers, writing.end_or_disturb, ledger.run_uri)
        expected = [(TrialState.COMPLETE, {"a": float(number)}) for number in range(25)]
        assert expected == [(record.state, record.metrics) for record in ledger.records()]

    def test_no_change_of_the_state_is_lost(self, ledger: Ledger, writers: str) -> None:
        writing.run_at_once(writers, writing.change_state, ledger.run_uri)
        assert ledger.read_state() == RunState(25, True, "step 25", "step 25")


class SharedLedgerContract(LedgerContract):
    """What a ledger does on a store that other processes see."""

    writers: ClassVar[tuple[str, ...]] = ("threads", "processes")

    @pytest.mark.parametrize("reads_before_the_kill", [1, 7, 20])
    def test_killed_writers_leave_whole_files(
        self, ledger: Ledger, store: Store, reads_before_the_kill: int
    ) -> None:
        code = f"from {writing.__name__} import write_for_ever as w; w({ledger.run_uri!r})"
        with ExitStack() as stack:
            killed = [
                stack.enter_context(subprocess.Popen([sys.executable, "-c", code]))
                for _ in range(2)
            ]
            for process in killed:
                stack.callback(process.kill)
            while ledger.read_state().parallelism is None:
                assert [process.poll() for process in killed] == [None, None]
            for _ in range(reads_before_the_kill):
                self._check_whole(ledger, store)
        assert [process.returncode for process in killed] == [-9, -9]
        self._check_whole(ledger, store)
        assert ledger.update_state(parallelism=0).parallelism == 0

    def _check_whole(self, ledger: Ledger, store: Store) -> None:
        for record in ledger.records():
            assert record.params == {"text": writing.PADDING}
            last = ledger.next_attempt_number(record.number) - 1
            assert ledger.read_log(record.number, last) in (None, writing.PADDING.encode())
        assert ledger.read_state().stopped in (None, writing.PADDING)
        assert set(ledger.record_numbers()) <= set(range(8))
        assert all(name.endswith(".json") for name in store.list("attempts"))
