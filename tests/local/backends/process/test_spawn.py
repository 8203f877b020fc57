from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.local.backends.process.conftest import RUN_ID, Host

from podmap.backends.base import LaunchError, Phase
from podmap.backends.process import default_state_dir
from podmap.errors import BackendError, UsageError
from podmap.records import Category

ECHO = (sys.executable, "-c", "import json,os,sys; print(json.dumps(sys.argv[1:]))")
ODD_ARGUMENTS = {
    "quotes": """it's "quoted" `id`""",
    "newlines": "a\nb\r\n",
    "flags": "--lr=0.1",
    "shell": "$(touch owned); rm -rf ~ && $HOME * ? | > x",
    "braces": "{} {params.lr} {{x}}",
    "unicode": "é 漢字 🚀",
    "bytes": os.fsdecode(b"\xff\xfe"),
    "empty": "",
    "spaces": "  two  spaces  ",
    "backslashes": "\\n \\\\ %s \t",
}


@pytest.mark.parametrize("argument", ODD_ARGUMENTS.values(), ids=ODD_ARGUMENTS.keys())
def test_an_argument_reaches_the_trial_as_it_is(host: Host, argument: str) -> None:
    seen = host.run(host.launch((*ECHO, argument, "-n", argument), cwd=str(host.work)))
    assert 0 == seen.exit_code
    assert [argument, "-n", argument] == json.loads(host.output())
    assert [] == list(host.work.iterdir())


def test_the_command_is_no_builtin_of_a_shell(host: Host) -> None:
    for number, name in enumerate(("exit", "cd", "shift")):
        with pytest.raises(LaunchError, match=f"command not found: '{name}'"):
            host.run(host.launch((name,), number=number))


def test_what_a_trial_inherits(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "secret")
    monkeypatch.setenv("AIRFLOW_CONN_DB", "secret")
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "server")
    monkeypatch.setenv("PODMAP_CHECKPOINT", "of the trial this one runs in")
    monkeypatch.setenv("PODMAP_STORE", "kept")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    monkeypatch.setenv("LANG", "parent")
    print_env = (sys.executable, "-c", "import json,os; print(json.dumps(dict(os.environ)))")
    host.run(host.launch(print_env, env={"LANG": "trial", "my.odd-name": "x y\n$z"}))
    env = json.loads(host.output())
    assert [] == [name for name in env if "AIRFLOW" in name or name == "PODMAP_CHECKPOINT"]
    assert ("kept", "3", "trial", "x y\n$z") == (
        env["PODMAP_STORE"],
        env["CUDA_VISIBLE_DEVICES"],
        env["LANG"],
        env["my.odd-name"],
    )


def test_nothing_that_a_trial_inherits_stands_in_a_command_line(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("my.token", "BASH_FUNC_x%%", "a-b", "1x", "é"):
        monkeypatch.setenv(name, "hush-hush")
    monkeypatch.setenv("PLAIN", "hush-hush")
    lines = "for pid in $$ $PPID; do tr '\\0\\n' '  ' </proc/$pid/cmdline; done; echo; echo $PLAIN"
    host.run(host.shell(lines, env={"my.name": "of the spec"}))
    commands, plain = host.output().splitlines()
    assert "hush-hush" == plain
    assert "podmap-trial" in commands
    assert "hush-hush" not in commands


def test_a_trial_starts_in_its_folder_without_stdin(host: Host) -> None:
    seen = host.run(host.shell("pwd; wc -c; echo $PWD", cwd=str(host.work)))
    assert 0 == seen.exit_code
    assert [str(host.work), "0", str(host.work)] == host.output().split()


def test_a_program_is_found_from_its_folder(host: Host) -> None:
    program = host.work / "train"
    program.write_text("#!/bin/sh\necho trained\n")
    program.chmod(0o755)
    seen = host.run(host.launch(("./train",), cwd=str(host.work)))
    assert 0 == seen.exit_code
    assert "trained\n" == host.output()


def test_a_secret_comes_from_the_parents_environment(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "t0ken")
    host.run(host.shell("echo $HF_TOKEN", secret_env={"HF_TOKEN": ("hf", "token")}))
    assert "t0ken\n" == host.output()
    assert "t0ken" not in (host.folder() / "launch.json").read_text()


REFUSED: dict[str, tuple[tuple[str, ...], dict[str, Any], str]] = {
    "not found": (("no-such-program", "x"), {}, "command not found: 'no-such-program'"),
    "no such file": (("/no/such/file",), {}, "command not found: '/no/such/file'"),
    "not executable": (("/etc/passwd",), {}, "command not executable: '/etc/passwd'"),
    "a folder": (("/etc",), {}, "command not executable: '/etc'"),
    "empty": ((), {}, "the command is empty"),
    "nul": (("true", "a\0b"), {}, "NUL"),
    "nul in env": (("true",), {"env": {"A": "\0"}}, "NUL"),
    "lone surrogate": (("true", "\ud800"), {}, "cannot be encoded"),
    "too long": (("true", "x" * 3_000_000), {}, "is too long: 3000000 bytes"),
    "env name": (("true",), {"env": {"A=B": "c"}}, "holds '='"),
    "cwd": (("true",), {"cwd": "/no/such/folder"}, "working directory not found"),
    "secret": (("true",), {"secret_env": {"NO_TOKEN": ("hf", "token")}}, "NO_TOKEN"),
    "secret in a command line": (
        ("true",),
        {"secret_env": {"my.token": ("hf", "token")}},
        "my.token cannot have a secret as its value here",
    ),
    "Airflow's own": (
        ("true",),
        {"secret_env": {"AIRFLOW__CORE__FERNET_KEY": ("a", "b")}},
        "AIRFLOW__CORE__FERNET_KEY is Airflow's own",
    ),
}


@pytest.mark.parametrize(("argv", "more", "summary"), REFUSED.values(), ids=REFUSED.keys())
def test_what_can_never_be_started_is_refused_with_a_diagnosis(
    host: Host, argv: tuple[str, ...], more: dict[str, Any], summary: str
) -> None:
    async def scenario() -> None:
        backend = host.backend()
        with pytest.raises(LaunchError, match=summary) as raised:
            await backend.create(host.launch(argv, **more))
        assert Category.CREATE_ERROR is raised.value.diagnosis.category
        assert raised.value.diagnosis.resolution
        assert [] == list(await backend.list(RUN_ID))

    host.play(scenario)


@pytest.mark.skipif(
    "bash" in os.path.realpath("/bin/sh"), reason="bash forgets its EXIT trap before it executes"
)
def test_a_missing_interpreter_is_a_create_error(host: Host) -> None:
    program = host.work / "train"
    program.write_text("#!/no/such/interpreter\n")
    program.chmod(0o755)
    seen = host.run(host.launch((str(program),)))
    assert (Phase.ENDED, 127) == (seen.phase, seen.exit_code)
    assert seen.diagnosis is not None
    assert Category.CREATE_ERROR is seen.diagnosis.category


@pytest.mark.parametrize("code", [126, 127, 137, 255])
def test_an_exit_code_of_the_trial_itself_is_only_that(host: Host, code: int) -> None:
    seen = host.run(host.shell(f"exit {code}"))
    assert (code, None) == (seen.exit_code, seen.diagnosis)


def test_a_signal_gives_the_exit_code_that_containers_give(host: Host) -> None:
    seen = host.run(host.shell("kill -SEGV $$"))
    assert (139, None) == (seen.exit_code, seen.diagnosis)


def test_no_process_can_be_started_now(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    async def scenario() -> None:
        backend = host.backend()
        with monkeypatch.context() as patch:
            patch.setattr(subprocess, "Popen", refuse)
            with pytest.raises(BackendError, match="cannot start a process"):
                await backend.create(host.shell("true"))
        assert [] == list(await backend.list(RUN_ID))
        await backend.create(host.shell("exit 5"))
        assert 5 == (await backend.wait(host.name())).exit_code

    host.play(scenario)


@pytest.mark.parametrize("place", ["file", "sysfs"])
def test_a_state_folder_that_cannot_be_written_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    state_dir = tmp_path / "file" if place == "file" else Path("/sys/kernel/podmap")
    host = Host(state_dir, tmp_path)

    async def scenario() -> None:
        with pytest.raises(BackendError, match=str(state_dir)) as raised:
            await host.backend().create(host.shell("true"))
        assert "PODMAP_STATE_DIR" in str(raised.value)

    host.play(scenario)


def test_a_name_that_is_not_of_the_run_is_refused(host: Host) -> None:
    async def scenario() -> None:
        backend = host.backend()
        with pytest.raises(UsageError, match="not the name of an attempt"):
            await backend.wait("../../etc")
        with pytest.raises(UsageError, match="is not of run"):
            await backend.create(replace(host.shell("true"), run_id="89abcdef"))

    host.play(scenario)


def test_where_the_state_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PODMAP_STATE_DIR", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home/me")
    assert "/home/me/.local/state/podmap/processes" == default_state_dir()
    monkeypatch.setenv("XDG_STATE_HOME", "/xdg")
    assert "/xdg/podmap/processes" == default_state_dir()
    monkeypatch.setenv("PODMAP_STATE_DIR", "/mine")
    assert "/mine" == default_state_dir()


def test_only_the_owner_can_look_into_the_state(host: Host) -> None:
    host.run(host.shell("true"))
    assert 0o700 == host.state_dir.stat().st_mode & 0o777
    assert 0o700 == host.folder().stat().st_mode & 0o777
