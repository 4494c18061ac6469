#!/usr/bin/env bash
# From nothing but Python to a trained network and its evaluation, without data.
#
#   bash launch/quickstart.sh
#   PYTHON=python3.12 bash launch/quickstart.sh runs/another
#
# Installs the package into .venv in the clone, trains on synthetic faces for two
# minutes on two CPU cores, and evaluates on others. What it learns goes to runs/first,
# or the folder named. Started again, it goes on where it stopped. With --dry-run it
# only prints what would be run.

# shellcheck source=launch/shell.sh
source "$(dirname "${BASH_SOURCE[0]}")/shell.sh"
workdir=
for word; do
    case $word in
    --help) help ;;
    --dry-run) dry_run=true ;;
    -*) fail "unknown flag $word; see --help" ;;
    *)
        [ -z "$workdir" ] || fail "one folder is enough: $workdir or $word"
        workdir=$(absolute "$word")
        ;;
    esac
done
workdir=${workdir:-$root/runs/first}

run source "$root/launch/venv.sh" "" # it changes to the clone
run .venv/bin/python -m emotion_jax.train --config configs/synthetic.py --workdir "$workdir"
run .venv/bin/python -m emotion_jax.evaluate --checkpoint "$workdir"
! $dry_run || exit 0
echo "to go on by hand: source .venv/bin/activate"
echo "results: $workdir/eval/synthetic-test/metrics.json, pictures: $workdir/eval/synthetic-test/faces.png"
