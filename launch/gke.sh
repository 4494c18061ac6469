#!/usr/bin/env bash
# Trains on a GKE cluster with TPUs, as a workload of xpk.
#
#   bash launch/gke.sh --name faces --cluster tpus --zone us-east5-b --type v6e-16 -- --config configs/synthetic.py --workdir gs://bucket/runs/first
#
# --cluster NAME    one that `xpk cluster create` made
# --type TYPE       v5litepod-16, v6e-16, v4-16, v5p-16, ..., as the cluster has it
# --slices N        default 1
# --spot            the cluster's spot machines
# --project ID      default: gcloud's own
# --image IMAGE     an image with emotion_jax installed; default: made of the clone
# --dry-run         prints what would be run
#
# Preempted, it goes on from the bucket by itself (exit codes 75 and 3; 100 times).
# Its log: xpk workload list --cluster tpus, and the page that xpk names.

# shellcheck source=launch/shell.sh
source "$(dirname "${BASH_SOURCE[0]}")/shell.sh"

name="" cluster="" zone="" type="" slices=1 image=""
more=() # flags for xpk
while [ $# -gt 0 ]; do
    case $1 in
    --help) help ;;
    --dry-run) dry_run=true ;;
    --spot) more+=(--spot) ;;
    --name) name=$(value "$@"); shift ;;
    --cluster) cluster=$(value "$@"); shift ;;
    --zone) zone=$(value "$@"); shift ;;
    --type) type=$(value "$@"); shift ;;
    --slices) slices=$(value "$@"); shift ;;
    --project) project=$(value "$@"); shift; more+=("--project=$project") ;;
    --image) image=$(value "$@"); shift ;;
    --) shift && break ;;
    *) fail "unknown flag $1; see --help" ;;
    esac
    shift
done
[ -n "$name" ] && [ -n "$cluster" ] && [ -n "$zone" ] && [ -n "$type" ] ||
    fail "--name, --cluster, --zone and --type are needed"
[ $# -gt 0 ] || fail "the training's flags are needed after --, as: -- --config configs/synthetic.py ..."
in_bucket "$@" ||
    fail "the training wants --workdir gs://BUCKET/..., as everything in a pod goes with it"
need xpk "pip install xpk"
cd "$root"

command="python -m emotion_jax.train $(words "$@")"
if [ -n "$image" ]; then
    more+=("--docker-image=$image")
else
    # Only what is needed, as xpk copies the whole folder into the image.
    run rm -rf dist/gke
    run mkdir -p dist/gke
    run cp -R emotion_jax configs setup.py pyproject.toml README.md dist/gke
    more+=(--base-docker-image=python:3.12 --script-dir=dist/gke)
    command="pip install --quiet '.[tpu,gcs]' && $command"
fi
run xpk workload create "--workload=$name" "--cluster=$cluster" "--zone=$zone" \
    "--tpu-type=$type" "--num-slices=$slices" --max-restarts=100 \
    --restart-on-exit-codes=75,3 --termination-grace-period-seconds=60 \
    "${more[@]+"${more[@]}"}" "--command=$command"
