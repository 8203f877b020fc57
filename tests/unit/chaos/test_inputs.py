from __future__ import annotations

import subprocess

from chaos.inputs import ROOT, command


def test_the_long_form_has_the_property_tests_and_no_others() -> None:
    words = [*command()[:-2], "--collect-only", "tests/unit/spec/test_quantity.py"]
    listed = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    names = [line.partition("::")[2] for line in listed.splitlines() if "::" in line]
    assert [
        "test_bytes_survive_being_written_and_read",
        "test_any_text_is_read_or_refused_with_a_value_error",
    ] == names
