"""podmap_trial, in a process of its own where the environment or the output matters."""

from __future__ import annotations

import ast
import json
import logging
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

import podmap_trial
from podmap.engine.cut_result import trailing_pairs


@pytest.fixture
def sweep_env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The environment of a trial; returns the path of its result."""
    result = tmp_path / "result.json"
    for name, value in {
        "PODMAP_TRIAL": "3",
        "PODMAP_ATTEMPT": "2",
        "PODMAP_RUN": "0123abcd",
        "PODMAP_KEY": "feedbeef",
        "PODMAP_SEED": "17",
        "PODMAP_PARAMS": '{"lr": 0.1, "kernel": "rbf \\u00e9"}',
        "PODMAP_RESULT": str(result),
        "PODMAP_OBJECTIVE": '["accuracy"]',
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("PODMAP_CHECKPOINT", "PODMAP_OUTPUT"):
        monkeypatch.delenv(name, raising=False)
    return result


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PODMAP_")]:
        monkeypatch.delenv(name)


def messages(text: str) -> list[dict[str, object]]:
    return [json.loads(line[len("podmap: ") :]) for line in text.splitlines()]


def test_current_reads_the_trial_from_the_environment(
    sweep_env: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PODMAP_CHECKPOINT", "s3://bucket/ckpt/3")
    monkeypatch.setenv("PODMAP_OUTPUT", "s3://bucket/out/3")

    expected = podmap_trial.Trial(
        in_sweep=True,
        number=3,
        attempt=2,
        run="0123abcd",
        key="feedbeef",
        seed=17,
        params={"lr": 0.1, "kernel": "rbf é"},
        checkpoint="s3://bucket/ckpt/3",
        output="s3://bucket/out/3",
        result=str(sweep_env),
        objectives=("accuracy",),
    )
    assert expected == podmap_trial.current()


@pytest.mark.usefixtures("outside")
def test_outside_a_sweep_nothing_is_written_or_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    trial = podmap_trial.current()
    trial.report(1, accuracy=0.5)
    trial.finish(accuracy=0.5, outputs={"model": "m.pt"})
    trial.pruned()

    assert podmap_trial.Trial() == trial
    assert "" == capsys.readouterr().out
    assert [] == list(tmp_path.iterdir())


def test_a_report_is_out_before_the_process_ends(
    sweep_env: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    code = "import podmap_trial, os; podmap_trial.current().report(3, accuracy=0.5); os._exit(0)"
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    assert done.stdout == b'podmap: {"step": 3, "accuracy": 0.5}\n'


def test_finish_writes_the_result_and_prints_it(
    sweep_env: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    podmap_trial.current().finish(outputs={"model": "s3://b/m.pt"}, accuracy=0.97, epochs=3)

    expected = {"accuracy": 0.97, "epochs": 3, "outputs": {"model": "s3://b/m.pt"}}
    assert expected == json.loads(sweep_env.read_text())
    assert [{"final": expected}] == messages(capsys.readouterr().out)


def test_finish_writes_into_the_file_that_is_there(sweep_env: Path) -> None:
    sweep_env.write_text("x" * 1000)
    before = sweep_env.stat().st_ino
    podmap_trial.current().finish(accuracy=1)
    assert (before, '{"accuracy": 1}') == (sweep_env.stat().st_ino, sweep_env.read_text())


def test_pruned_says_so(sweep_env: Path, capsys: pytest.CaptureFixture[str]) -> None:
    podmap_trial.current().pruned()
    assert [{"pruned": True}] == messages(capsys.readouterr().out)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf], ids=["nan", "inf", "-inf"])
def test_what_json_has_no_word_for_becomes_null_with_a_warning(
    value: float, sweep_env: Path, caplog: pytest.LogCaptureFixture
) -> None:
    podmap_trial.current().finish(accuracy=0.5, loss=value)
    assert {"accuracy": 0.5, "loss": None} == json.loads(sweep_env.read_text())
    assert "'loss'" in caplog.text


@pytest.mark.parametrize(
    ("dtype", "written"),
    [("float32", 0.5), ("float64", 0.5), ("int64", 0), ("bool", 1)],
)
def test_numpy_scalars_are_numbers(dtype: str, written: float, sweep_env: Path) -> None:
    np = pytest.importorskip("numpy")
    podmap_trial.current().finish(accuracy=np.dtype(dtype).type(0.5))
    assert {"accuracy": written} == json.loads(sweep_env.read_text())


def test_an_array_of_one_number_is_a_number(sweep_env: Path) -> None:
    np = pytest.importorskip("numpy")
    podmap_trial.current().finish(accuracy=np.array([0.5]))
    assert {"accuracy": 0.5} == json.loads(sweep_env.read_text())


@pytest.mark.parametrize("value", ["0.5", b"1", None, [0.5], {}], ids=repr)
@pytest.mark.parametrize("method", ["report", "finish"])
@pytest.mark.usefixtures("outside")
def test_what_is_no_number_is_refused_outside_a_sweep_too(method: str, value: object) -> None:
    trial = podmap_trial.current()
    with pytest.raises(TypeError, match="the metric 'accuracy' must be one number"):
        trial.report(1, accuracy=value) if method == "report" else trial.finish(accuracy=value)


@pytest.mark.parametrize(
    ("objective", "names"),
    [('["accuracy"]', ["accuracy"]), ('["b", "no", "a"]', ["b", "a"]), ("", ["a"])],
    ids=["one", "several", "older podmap"],
)
def test_of_a_long_result_the_end_has_the_objective_and_the_line_has_all(
    objective: str,
    names: list[str],
    sweep_env: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PODMAP_OBJECTIVE", objective)
    metrics = {"a": 1, "b": 2, "accuracy": 0.9, **{f"metric_{n:03}": n / 7 for n in range(300)}}
    podmap_trial.current().finish(outputs={"model": "m.pt"}, **metrics)

    written = json.loads(sweep_env.read_text())
    whole = {**metrics, "outputs": {"model": "m.pt"}}
    assert whole == written
    assert ["outputs", *names] == [*list(written)[:1], *list(written)[-len(names) :]]
    kept = sweep_env.read_bytes()[-podmap_trial.RESULT_LIMIT_BYTES :]
    assert {name: metrics[name] for name in names}.items() <= trailing_pairs(kept).items()
    assert [{"final": whole}] == messages(capsys.readouterr().out)


def test_of_a_result_too_long_for_a_line_the_objective_is_printed_first(
    sweep_env: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    metrics = {f"metric_{n:04}": n / 7 for n in range(2000)}
    podmap_trial.current().finish(outputs={"model": "m.pt"}, **metrics, accuracy=0.9)

    line = capsys.readouterr().out
    assert len(line) <= podmap_trial.LINE_LIMIT_BYTES + len('podmap: {"final": }\n')
    names = list(json.loads(line[len("podmap: ") :])["final"])
    assert ["accuracy", *list(metrics)[: len(names) - 2], "outputs"] == names
    assert len(names) > 500
    assert "of its 2001 metrics" in caplog.text
    written = json.loads(sweep_env.read_text())
    assert {"outputs": {"model": "m.pt"}, **metrics, "accuracy": 0.9} == written


def test_outputs_that_leave_no_room_in_the_line_are_dropped_before_metrics(
    sweep_env: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    podmap_trial.current().finish(accuracy=0.9, outputs={"model": "m" * 50_000})
    assert [{"final": {"accuracy": 0.9}}] == messages(capsys.readouterr().out)
    assert "outputs are left out" in caplog.text


@pytest.mark.parametrize("as_uri", [False, True], ids=["path", "uri"])
def test_the_result_is_left_beside_a_local_checkpoint(
    as_uri: bool, sweep_env: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = tmp_path / "check points" / "3"
    monkeypatch.setenv("PODMAP_CHECKPOINT", checkpoint.as_uri() if as_uri else f"{checkpoint}/")
    podmap_trial.current().finish(accuracy=0.9)

    left = checkpoint.parent / "podmap-result-feedbeef.json"
    assert [left] == list(checkpoint.parent.iterdir())
    assert {"accuracy": 0.9} == json.loads(left.read_text())


def test_the_result_is_left_beside_a_checkpoint_in_a_store(
    sweep_env: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsspec = pytest.importorskip("fsspec")
    monkeypatch.setenv("PODMAP_CHECKPOINT", "memory://podmap-trial-test/ckpt/3/")
    podmap_trial.current().finish(accuracy=0.9)

    with fsspec.open("memory://podmap-trial-test/ckpt/podmap-result-feedbeef.json") as file:
        assert {"accuracy": 0.9} == json.load(file)


@pytest.mark.parametrize("checkpoint", ["/dev/null/ckpt/3", "nosuchscheme://b/3"])
def test_a_checkpoint_that_cannot_be_written_does_not_cost_the_result(
    checkpoint: str,
    sweep_env: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("PODMAP_CHECKPOINT", checkpoint)
    with caplog.at_level(logging.WARNING):
        podmap_trial.current().finish(accuracy=0.9)
    assert {"accuracy": 0.9} == json.loads(sweep_env.read_text())
    assert "could not be left beside" in caplog.text


def test_a_result_that_cannot_be_written_is_still_printed(
    sweep_env: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PODMAP_RESULT", "/dev/null/result.json")
    podmap_trial.current().finish(accuracy=0.9)
    assert [{"final": {"accuracy": 0.9}}] == messages(capsys.readouterr().out)


def test_the_file_needs_nothing_newer_than_python_3_8() -> None:
    source = Path(podmap_trial.__file__).read_text()
    tree = ast.parse(source, feature_version=(3, 8))
    imported = {
        name.partition(".")[0]
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
        )
    }
    assert imported <= set(sys.stdlib_module_names)
