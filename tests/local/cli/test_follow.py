"""podmap logs -f: what a trial prints, as it comes, until it has ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from podmap.cli._follow import TrialFollower
from podmap.ledger.ledger import Ledger

SLOW = 'echo "begun $1"\nwhile ! test -e go; do sleep 0.05; done\necho "done $1"\n'
TWICE = (
    'echo "attempt $PODMAP_ATTEMPT"\ntest "$PODMAP_ATTEMPT" = 2 || { echo no luck; exit 3; }\n'
    'echo "{\\"y\\": 1}" >"$PODMAP_RESULT"\n'
)


def test_output_comes_while_the_trial_runs_to_its_end(cli: Any) -> None:
    spec = cli.spec(trial=SLOW + 'echo "{\\"y\\": 1}" >"$PODMAP_RESULT"\n')
    run = cli.start("run", spec, "--set", "search.params.x.high=0")
    while "ledger:" not in run.stderr.readline():
        pass
    follow = cli.start("logs", cli.run_id(), "0", "-f")
    assert "begun 0\n" == follow.stdout.readline()
    later = cli.start("logs", cli.run_id(), "0", "-f", "--attempt", "2")
    assert "trial 0 has no attempt 2 yet; waiting until it has\n" == later.stderr.readline()
    (cli.folder / "go").touch()
    assert ("done 0\n", 0) == (follow.stdout.read(), follow.wait(timeout=60))
    assert 0 == run.wait(timeout=60)
    assert "trial 0, attempt 1\n" in follow.stderr.read()
    assert 2 == later.wait(timeout=60)


def test_it_goes_on_from_attempt_to_attempt(cli: Any) -> None:
    spec = cli.spec(
        trial=TWICE.replace("no luck;", "no luck; while ! test -e go; do sleep 0.05; done;")
    )
    sets = ["--set", "search.params.x.high=0", "--set", "retries.user=1"]
    run = cli.start("run", spec, *sets)
    while "ledger:" not in run.stderr.readline():
        pass
    follow = cli.start("logs", cli.run_id(), "0", "-f")
    assert "attempt 1\n" == follow.stdout.readline()
    (cli.folder / "go").touch()
    assert ("no luck\nattempt 2\n", 0) == (follow.stdout.read(), follow.wait(timeout=60))
    assert 0 == run.wait(timeout=60)


def test_a_trial_that_has_ended_is_shown_as_it_is_kept(cli: Any) -> None:
    spec = cli.spec(trial=TWICE)
    sets = ["--set", "search.params.x.high=0", "--set", "retries.user=1"]
    assert 0 == cli("run", spec, "-q", *sets).code
    ran = cli("logs", cli.run_id(), "0", "-f")
    assert (0, "attempt 2\n") == (ran.code, ran.out)
    ran = cli("logs", cli.run_id(), "0", "-f", "--attempt", "1")
    assert "attempt 1\nno luck\n" == ran.out
    assert "user_exit: " in ran.err


TICKS = (
    'while ! test -e go; do echo tick; sleep 0.05; done\necho "{\\"y\\": 1}" >"$PODMAP_RESULT"\n'
)


@pytest.mark.parametrize("verb", [("logs", "0", "-f"), ("status", "--watch", "--json")])
def test_it_ends_once_nobody_reads_it(cli: Any, verb: tuple[str, ...]) -> None:
    spec = cli.spec(trial=TICKS)
    run = cli.start("run", spec, "--set", "search.params.x.high=0")
    while "ledger:" not in run.stderr.readline():
        pass
    follow = cli.start(verb[0], cli.run_id(), *verb[1:])
    assert follow.stdout.readline()
    follow.stdout.close()
    follow.stdout = None
    assert 3 == follow.wait(timeout=60)
    assert run.poll() is None
    (cli.folder / "go").touch()
    assert 0 == run.wait(timeout=60)


def test_of_a_run_that_was_killed_it_says_what_it_waits_for(cli: Any) -> None:
    run = cli.start("run", cli.spec(trial=TICKS), "--set", "search.params.x.high=0")
    while "ledger:" not in run.stderr.readline():
        pass
    follow = cli.start("logs", cli.run_id(), "0", "-f")
    assert "tick\n" == follow.stdout.readline()
    run.kill()
    run.wait(timeout=60)
    (cli.folder / "go").touch()
    while "attempt 1 has ended" not in (line := follow.stderr.readline()):
        pass
    assert line.endswith(f"goes on with the run: podmap resume {cli.run_id()}\n")
    assert 0 == cli("resume", cli.run_id(), "-q").code
    assert 0 == follow.wait(timeout=60)


def test_json_and_following_do_not_go_together(cli: Any) -> None:
    assert 0 == cli("run", cli.spec(), "-q").code
    ran = cli("logs", cli.run_id(), "0", "-f", "--json")
    assert (2, True) == (ran.code, "leave out --json" in ran.err)


@pytest.mark.parametrize(
    ("seen", "kept", "expected"),
    [
        (b"", b"all\n", b"all\n"),
        (b"all\n", b"all\n", b""),
        (b"one\ntw", b"one\ntwo\n", b"o\n"),
        (b"zero\none\n", b"one\ntwo\n", b"two\n"),
        (b"zero\n", b"five\nsix\n", b"five\nsix\n"),
        (b"zero\n", b"", b""),
    ],
)
def test_what_was_seen_is_not_shown_again(
    cli: Any, seen: bytes, kept: bytes, expected: bytes
) -> None:
    assert 0 == cli("run", cli.spec(), "-q").code
    (folder,) = cli.store.glob("*/*")
    ledger = Ledger.open(str(folder))
    shown: list[bytes] = []
    say: Callable[[str], None] = [].append
    follower = TrialFollower(
        ledger, ledger.read_manifest(), 0, kubeconfig=None, write=shown.append, say=say
    )
    follower._take(seen)
    shown.clear()
    follower._show_rest(kept)
    assert expected == b"".join(shown)
