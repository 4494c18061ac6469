#!/usr/bin/env bash
# Trains on the GPUs of this machine, one or many, in one process.
#
#   bash launch/gpu.sh -- --config configs/synthetic.py --workdir runs/first
#   bash launch/gpu.sh --gpus 0,1 -- --config configs/fer5.py --workdir runs/fer5 --data fer2013=fer2013.csv
#   bash launch/gpu.sh --setup
#
# --gpus 0,1    only these; default: all
# --setup       only makes .venv in the clone, with CUDA's libraries for JAX
# --dry-run     prints what would be run
#
# PYTHON=python3.12 chooses the interpreter. On several machines: launch/slurm.sbatch.

# shellcheck source=launch/shell.sh
source "$(dirname "${BASH_SOURCE[0]}")/shell.sh"

gpus="" setup=false
while [ $# -gt 0 ]; do
    case $1 in
    --help) help ;;
    --dry-run) dry_run=true ;;
    --setup) setup=true ;;
    --gpus) gpus=$(value "$@"); shift ;;
    --) shift && break ;;
    *) fail "unknown flag $1; see --help" ;;
    esac
    shift
done
$setup || [ $# -gt 0 ] || fail "the training's flags are needed after --, as: -- --config configs/synthetic.py ..."
$setup || need nvidia-smi "NVIDIA's driver makes it; without a GPU: bash launch/quickstart.sh"

# shellcheck disable=SC2016  # the shell that is run expands it
run bash -c 'source "$0" "[cuda]"' "$root/launch/venv.sh"
if ! $setup; then
    only=()
    [ -z "$gpus" ] || only=(env "CUDA_VISIBLE_DEVICES=$gpus")
    run "${only[@]+"${only[@]}"}" "$root/.venv/bin/python" -m emotion_jax.train "$@"
fi
