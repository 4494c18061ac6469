#!/usr/bin/env bash
# From nothing but Python to a trained network and its evaluation, without data.
#
#   bash launch/quickstart.sh
#   PYTHON=python3.12 bash launch/quickstart.sh runs/first
#
# Installs the package into .venv in the clone, trains on synthetic faces for three
# minutes on two CPU cores, and evaluates on others. Started again, it goes on where it
# stopped.

# shellcheck source=launch/shell.sh
source "$(dirname "${BASH_SOURCE[0]}")/shell.sh"
[ "${1:-}" != --help ] || help
workdir=$(absolute "${1:-$root/runs/quickstart}")

# shellcheck source=launch/venv.sh
source "$root/launch/venv.sh" ""

.venv/bin/python -m emotion_jax.train --config configs/synthetic.py --workdir "$workdir"
.venv/bin/python -m emotion_jax.evaluate --checkpoint "$workdir"
echo "to go on by hand: source .venv/bin/activate"
echo "results: $workdir/eval/synthetic-test/metrics.json, pictures: $workdir/eval/synthetic-test/faces.png"
