"""`logs: {keep: full}`: all that a trial prints is kept, up to a limit, and shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from podmap.testing.fake_cluster import FakeCluster, Script

TRIAL = (
    'i=0; while test $i -lt 3000; do echo "line $i of a trial that prints far more than its tail"; '
    'i=$((i + 1)); done\necho "{\\"y\\": $1}" >"$PODMAP_RESULT"\n'
)
LINES = [f"line {number} of a trial that prints far more than its tail" for number in range(3000)]
ONE = ("-q", "--set", "search.params.x.high=0")


@pytest.mark.parametrize("keep", ["full", "tail"])
def test_the_whole_output_is_shown_where_it_is_kept(cli: Any, keep: str) -> None:
    spec = cli.spec(trial=TRIAL)
    assert 0 == cli("run", spec, *ONE, "--set", f"logs={{keep: {keep}}}").code
    ran = cli("logs", cli.run_id(), "0")
    assert (keep == "full") == (LINES == ran.out.splitlines())
    assert LINES[-100:] == ran.out.splitlines()[-100:]
    assert ran.out == cli("logs", cli.run_id(), "0", "-f").out
    data = cli("logs", cli.run_id(), "0", "--json").json
    assert (keep, True) == (data["kept"], data["log"].endswith(LINES[-1] + "\n"))
    assert 1 + (keep == "full") == len(list(cli.store.glob("*/*/logs/*")))


def test_beyond_the_limit_the_start_and_the_end_are_kept(cli: Any) -> None:
    spec = cli.spec(trial=TRIAL)
    assert 0 == cli("run", spec, *ONE, "--set", "logs={keep: full, limit: 100Ki}").code
    ran = cli("logs", cli.run_id(), "0")
    assert 100 * 1024 + 64 * 1024 == len(ran.out)
    assert (True, True) == (ran.out.startswith(LINES[0]), ran.out.endswith(LINES[-1] + "\n"))
    assert "beyond logs.limit" in ran.err


def test_a_retry_has_a_whole_log_of_its_own(cli: Any) -> None:
    spec = cli.spec(trial='echo "attempt $PODMAP_ATTEMPT"\nexit 3\n')
    sets = ("--set", "retries.user=1", "--set", "logs={keep: full}", "--set", "failures.allow=1")
    assert 1 == cli("run", spec, *ONE, *sets).code
    for attempt in ("1", "2"):
        shown = cli("logs", cli.run_id(), "0", "--attempt", attempt).out
        assert f"attempt {attempt}\n" == shown


@pytest.mark.parametrize(
    ("logs", "said"),
    [
        ("{keep: all}", "logs.keep"),
        ("{keep: full, limit: 0}", "logs.limit"),
        ("{kep: full}", "did you mean 'keep'"),
        ("whole", "logs"),
    ],
)
def test_other_words_are_errors_with_their_place(cli: Any, logs: str, said: str) -> None:
    ran = cli("plan", cli.spec(), "--set", f"logs={logs}")
    assert (2, True) == (ran.code, said in ran.err)


def test_of_pods_too(cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    script = Script(output="\n".join(LINES), result='{"y": 1}')
    with FakeCluster(script=script, bookmark_s=0.2) as cluster:
        kubeconfig = str(cluster.kubeconfig(tmp_path / "config"))
        where = ("--backend", "kubernetes", "--kubeconfig", kubeconfig)
        sets = ("--set", "logs={keep: full}", "--set", "trial={image: fake, command: [train]}")
        assert 0 == cli("run", cli.spec(), *ONE, *where, *sets).code
        shown = cli("logs", cli.run_id(), "0", "--kubeconfig", kubeconfig).out.splitlines()
    assert LINES == shown
