"""The lint rules, one module for each subject of DAG files; `podmap.lint.linter` lists them."""
