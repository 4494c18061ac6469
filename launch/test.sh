#!/usr/bin/env bash
# Installs what the tests need into .venv, checks lint and format, and runs the tests.
#
#   bash launch/test.sh
#   bash launch/test.sh --long          the slow ones too, with TensorFlow and a browser
#   bash launch/test.sh -k augment      flags go to pytest

# shellcheck source=launch/shell.sh
source "$(dirname "${BASH_SOURCE[0]}")/shell.sh"
[ "${1:-}" != --help ] || help

extras=dev
case " $* " in *" --long "*) extras=dev,long ;; esac
# shellcheck source=launch/venv.sh
source "$root/launch/venv.sh" "[$extras]"

.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/python -m pytest --numprocesses auto --dist loadfile "$@"
echo "all tests passed; their report is above"
