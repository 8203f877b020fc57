"""What a terminal would obey, or a person not see, no command prints raw, whatever it is in."""

from __future__ import annotations

import io
import json
import subprocess
import unicodedata
from typing import Any

import pytest

from podmap.cli._streams import UNSAFE, SafeText, safe, unfiltered
from podmap.cli.main import main

BAD = "a\x1b[2J\u202eb\x9bc\r\u200bd\U000e0041"
RAW = set("\x1b\u202e\x9b\r\u200b\U000e0041")
IN_YAML = "".join(f"\\U{ord(char):08x}" for char in BAD)
SPEC = f"""\
apiVersion: podmap/v1
name: grid
search: {{kind: grid, params: {{x: [0]}}}}
objective: {{metric: y, direction: maximize}}
trial: {{command: [sh, -c, 'printf "%s|" "$@"', sh], args: ["{IN_YAML}", "it's\\n", ""]}}
"""


def test_whatever_has_no_picture_is_taken_out_but_for_tabs_and_lines() -> None:
    invisible = {"Cc", "Zl", "Zp"}
    for code in range(0x110000):
        char = chr(code)
        if unicodedata.category(char) in invisible and char not in "\t\n":
            assert UNSAFE.match(char), hex(code)
    for char in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c":
        assert UNSAFE.match(char), hex(ord(char))
    assert "äöü 漢字 🙂\t\n" == safe("äöü 漢字 🙂\t\n")


def test_all_text_of_a_stream_is_made_safe_and_its_bytes_are_not() -> None:
    raw = io.BytesIO()
    stream: Any = SafeText(io.TextIOWrapper(raw, "utf-8", write_through=True))
    assert len(BAD) == stream.write(BAD)
    stream.writelines([BAD, "\n"])
    print(BAD, file=stream)
    stream.flush()
    assert not RAW & set(raw.getvalue().decode())
    stream.buffer.write(b"\x1b")
    unfiltered(stream).write("\x1b")
    assert raw.getvalue().endswith(b"\x1b\x1b")


def test_what_no_text_can_hold_is_escaped() -> None:
    raw = io.BytesIO()
    stream = SafeText(io.TextIOWrapper(raw, "utf-8", write_through=True))
    stream.write("\udc80é")
    assert b"\\udc80\xc3\xa9" == raw.getvalue()


def test_a_stream_that_takes_ascii_alone_gets_escapes() -> None:
    raw = io.BytesIO()
    stream = SafeText(io.TextIOWrapper(raw, "ascii", write_through=True))
    stream.write("\x1bé\n")
    assert b"?\\xe9\n" == raw.getvalue()


@pytest.mark.parametrize(
    "args",
    [
        ["status", BAD],
        ["run", BAD],
        [BAD],
        ["run", "--" + BAD],
        ["run", "sweep.yaml", "--set", f"trial.{BAD}={BAD}"],
        ["run", "sweep.yaml", "--set", f"search.params.{BAD}=[1]", "--set", f"name={BAD}"],
        ["plan", "sweep.yaml", "--store", f"nope://{BAD}"],
        ["results", f"memory://{BAD}/x"],
        ["logs", "x", BAD],
        ["lint-dag", BAD],
        ["ls", "--store", f"store\x1b[2J/{BAD}"],
        ["demo", "--" + BAD],
        ["render", "sweep.yaml"],
        ["plan", "sweep.yaml"],
    ],
    ids=str,
)
@pytest.mark.parametrize("more", [[], ["--json"]], ids=["text", "json"])
def test_no_command_says_it(cli: Any, args: list[str], more: list[str]) -> None:
    (cli.folder / "sweep.yaml").write_text(SPEC)
    ran = cli(*args, *more)
    assert not RAW & set(ran.out + ran.err)
    assert ran.out + ran.err
    assert "Traceback" not in ran.err


def test_not_even_a_traceback_says_it(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from podmap.ledger import runs

    def broken(*_: Any) -> None:
        raise RuntimeError(BAD)

    monkeypatch.setattr(runs, "default_store", broken)
    for args in (["ls"], ["ls", "--json"]):
        ran = cli(*args)
        assert 1 == ran.code
        assert "RuntimeError: a?[2J?b?c" in ran.err
        assert not RAW & set(ran.out + ran.err)


def test_the_streams_of_a_test_are_given_back(capsys: pytest.CaptureFixture[str]) -> None:
    import sys

    before = sys.stdout, sys.stderr
    assert 2 == main(["nothing"])
    assert before == (sys.stdout, sys.stderr)


def test_a_rendered_script_has_each_character_though_it_shows_none(cli: Any) -> None:
    (cli.folder / "sweep.yaml").write_text(SPEC)
    script = cli("render", "sweep.yaml").out
    done = subprocess.run(["sh", "-c", script], capture_output=True, check=True, cwd=cli.folder)
    assert f"{BAD}|it's\n||" == done.stdout.decode()


def test_the_table_for_other_programs_has_none_either(cli: Any) -> None:
    assert 0 == cli("run", cli.spec()).code
    path = next(cli.store.glob("grid/*/trials/1.json"))
    data = json.loads(path.read_text())
    data.update(metrics={**data["metrics"], BAD: 1.0}, params={"x": 1, BAD: BAD}, reason=BAD)
    path.write_text(json.dumps(data))
    ran = cli("results", cli.run_id(), "--csv")
    assert not RAW & set(ran.out)
    assert "a?[2J?b?c" in ran.out


def test_a_log_is_raw_into_a_pipe_alone(cli: Any) -> None:
    trial = "printf 'log \\033[2J\\n'; echo '{\"y\": 1}' >\"$PODMAP_RESULT\"\n"
    assert 0 == cli("run", cli.spec(trial=trial)).code
    ran = cli.process("logs", cli.run_id(), "0")
    assert "log \x1b[2J\n" == ran.out
    assert "\x1b" not in ran.err
    ran = cli.process("logs", cli.run_id(), "0", "--json")
    assert "log \x1b[2J\n" == ran.json["log"]
    assert "\x1b" not in ran.out
