from __future__ import annotations

import signal
import subprocess
import sys

import pytest
from tests.conftest import Cli

from podmap.errors import UsageError
from podmap.server.listen import bind, url_of

WITHOUT = """
import sys
sys.modules["{name}"] = None
from podmap.cli.main import main
sys.exit(main(["ui", "--port", "0", "--no-browser"]))
"""


def test_a_free_port_is_taken_and_a_taken_one_is_an_error() -> None:
    with bind("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        with pytest.raises(UsageError, match=rf"port {port}: .*--port 0 for a free one"):
            bind("127.0.0.1", port)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "sweeps.example"])
def test_other_machines_reach_it_only_if_that_is_said(host: str) -> None:
    with pytest.raises(UsageError, match="Say --expose"):
        bind(host, 0)


def test_what_is_said_to_be_exposed_is(cli: Cli) -> None:
    with bind("0.0.0.0", 0, expose=True) as listening:
        assert "0.0.0.0" == listening.getsockname()[0]
    refused = cli("ui", "--host", "203.0.113.1", "--expose", "--port", "0")
    assert (2, True) == (refused.code, "cannot listen on 203.0.113.1" in refused.err)


def test_urls_are_ones_that_a_browser_takes() -> None:
    assert "http://127.0.0.1:80/?token=t" == url_of("127.0.0.1", 80, "t")
    assert "http://[::1]:80/?token=t" == url_of("::1", 80, "t")
    assert "0.0.0.0" not in url_of("0.0.0.0", 80, "t")


@pytest.mark.parametrize("name", ["starlette", "uvicorn"])
def test_without_its_extra_the_command_says_how_to_install_it(cli: Cli, name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(name=name)],
        env=cli.env,
        capture_output=True,
        text=True,
    )
    assert (2, "") == (done.returncode, done.stdout)
    assert f"needs {name}, which is not installed: pip install 'podmap[ui]'" in done.stderr


def test_a_wrong_token_of_ones_own_is_refused(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PODMAP_UI_TOKEN", "short")
    refused = cli("ui", "--port", "0", "--no-browser")
    assert (2, True) == (refused.code, "PODMAP_UI_TOKEN has 5 characters" in refused.err)


def test_a_store_that_is_not_there_is_an_error_and_no_empty_page(cli: Cli) -> None:
    (cli.folder / "file").write_text("")
    assert 0 == cli("run", cli.spec(), "-q").code
    run = f"{cli.store}/grid/{cli.run_id()}"
    for store, said in (
        ("runz", "/runz is not there; runs are looked for in PODMAP_STORE"),
        ("file", "/file is no folder; "),
        (run, f"{run} is a run, not a store of runs: podmap ui {cli.store}"),
    ):
        refused = cli("ui", store, "--port", "0", "--no-browser", "--json")
        assert (2, True) == (refused.code, said in refused.json["error"])


def test_a_store_that_nobody_has_named_may_come_later(cli: Cli) -> None:
    cli.env["PODMAP_STORE"] = str(cli.folder / "later")
    process = cli.start("ui", "--port", "0", "--no-browser")
    while "there is no" not in (line := process.stderr.readline()):
        pass
    assert f"there is no {cli.folder}/later yet: the first run makes it\n" == line
    process.send_signal(signal.SIGINT)
    assert 0 == process.wait()
