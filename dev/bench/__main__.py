"""The benchmarks by name: `python -m dev.bench [NAME [OPTION…]]`; without a name, their list."""

from __future__ import annotations

import ast
import runpy
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> None:
    benches = sorted(path for path in HERE.glob("*.py") if not path.name.startswith("_"))
    names = [path.stem for path in benches]
    if len(sys.argv) < 2 or sys.argv[1] not in names:
        print('make bench BENCH_ARGS="NAME [OPTION…]", where NAME is one of:')
        for path in benches:
            text = ast.get_docstring(ast.parse(path.read_text())) or ""
            print(f"  {path.stem:20} {text.splitlines()[0] if text else ''}")
        sys.exit(0 if len(sys.argv) < 2 else 2)
    path = HERE / f"{sys.argv[1]}.py"
    sys.argv[:2] = [str(path)]
    runpy.run_path(str(path), run_name="__main__")


main()
