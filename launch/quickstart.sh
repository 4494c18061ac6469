#!/usr/bin/env bash
# From nothing but Python to a trained network and its evaluation, without data.
#
#   bash launch/quickstart.sh
#   PYTHON=python3.12 bash launch/quickstart.sh runs/first
#
# Installs the package into .venv in the clone, trains on synthetic faces for three
# minutes on two CPU cores, and evaluates on others. Started again, it goes on where it
# stopped. With --dry-run it only prints what would be run.

# shellcheck source=launch/shell.sh
source "$(dirname "${BASH_SOURCE[0]}")/shell.sh"
workdir=$root/runs/quickstart
for word; do
    case $word in
    --help) help ;;
    --dry-run) dry_run=true ;;
    -*) fail "unknown flag $word; see --help" ;;
    *) workdir=$(absolute "$word") ;;
    esac
done

run source "$root/launch/venv.sh" "" # which goes to the clone
run .venv/bin/python -m emotion_jax.train --config configs/synthetic.py --workdir "$workdir"
run .venv/bin/python -m emotion_jax.evaluate --checkpoint "$workdir"
! $dry_run || exit 0
echo "to go on by hand: source .venv/bin/activate"
echo "results: $workdir/eval/synthetic-test/metrics.json, pictures: $workdir/eval/synthetic-test/faces.png"
