#!/usr/bin/env bash
# From nothing but Python to a trained network and its evaluation, without a download
# of data: bash launch/quickstart.sh [WORKDIR]

# shellcheck source=launch/venv.sh
source "$(dirname "${BASH_SOURCE[0]}")/venv.sh"
workdir=${1:-runs/quickstart}

.venv/bin/python -m emotion_jax.train --config configs/synthetic.py --workdir "$workdir"
.venv/bin/python -m emotion_jax.evaluate --checkpoint "$workdir"
echo "results: $workdir/eval/synthetic-test/metrics.json, pictures: $workdir/eval/synthetic-test/faces.png"
