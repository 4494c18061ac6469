#!/usr/bin/env bash
# Installs what the tests need and runs all of them; --long adds the heavy ones.
# What follows goes to pytest: bash launch/test.sh -k augment

# shellcheck source=launch/venv.sh
source "$(dirname "${BASH_SOURCE[0]}")/venv.sh" "[dev]"

.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/python -m pytest --numprocesses auto --dist loadfile "$@"
echo "all tests passed; their report is above"
