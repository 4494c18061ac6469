#!/usr/bin/env bash
# Keeps a training on a TPU that may be taken away at any time, until it is done.
#
#   bash launch/babysit.sh --name faces --zone us-east5-b --type v6e-8 --spot --upload fer2013.csv -- --config configs/fer5.py --workdir gs://bucket/runs/fer5 --data fer2013=fer2013.csv
#
# It looks every --pause seconds (30) at what is there, and takes the next step: makes
# the TPU, as often as that is refused; sets it up; starts the training, which goes on
# from the bucket's last checkpoint; deletes what was preempted, and begins again. Once
# the training is done, or ends by the caller's mistake, the TPU is deleted, and the
# training's exit code is this script's. Where the training fails --tries times (5) on
# one TPU, or is silent as often, that TPU is deleted; after failing, this gives up, and
# with 3 after as many TPUs in a row on which the training did not come to run.
# It may itself be stopped and started again: it takes over a TPU of that name.
#
# The other flags are those of launch/tpu_vm.sh create and setup; so is --dry-run.

# shellcheck source=launch/shell.sh
source "$(dirname "${BASH_SOURCE[0]}")/shell.sh"

pause=30 tries=5
flags=() # for tpu_vm.sh
while [ $# -gt 0 ]; do
    case $1 in
    --help) help ;;
    --pause) pause=$(value "$@"); shift ;;
    --tries) tries=$(value "$@"); shift ;;
    --dry-run) dry_run=true && flags+=("$1") ;;
    --) shift && break ;;
    *) flags+=("$1") ;;
    esac
    shift
done
[ $# -gt 0 ] || fail "the training's flags are needed after --, as: -- --config configs/fer5.py ..."
in_bucket "$@" ||
    fail "the training wants --workdir gs://BUCKET/..., as everything on the TPU goes with it"
training=("$@")

tpu() {
    bash "$root/launch/tpu_vm.sh" "$1" "${flags[@]+"${flags[@]}"}" "${@:2}"
}

say() {
    echo "$(date +%H:%M:%S) $1" >&2
}

# The training is over: nothing that costs money may be left.
leave() {
    local tried
    tpu tail >&2 || true
    for tried in $(seq "$tries"); do
        if tpu delete || [ "$(tpu state)" = MISSING ]; then exit "$1"; fi
        say "could not delete the TPU ($tried of $tries)"
        sleep "$pause"
    done
    say "the TPU is still there, and costs: bash launch/tpu_vm.sh delete $(words "${flags[@]}")"
    exit "$1"
}

start() {
    tpu run -- "${training[@]}"
}

# Handles a TPU that is ready, by the state of the training on it.
attend() {
    local code
    code=$(tpu code) || code=silent
    case $code in
    running) silent=0 vain=0 ;;
    none)
        say "setting up, and starting the training"
        # This is not silence: it said that there is no training.
        { tpu setup && start; } || silent=$((silent + 1))
        ;;
    0) say "done" && leave 0 ;;
    1 | 2 | 130) say "the training ended with exit code $code" && leave "$code" ;;
    75)
        say "preempted, and saved: starting again"
        start || silent=$((silent + 1))
        ;;
    silent)
        silent=$((silent + 1))
        say "no answer ($silent of $tries)"
        ;;
    *)
        failed=$((failed + 1))
        say "the training ended with exit code $code ($failed of $tries)"
        [ "$failed" -lt "$tries" ] || leave "$code"
        start || silent=$((silent + 1))
        ;;
    esac
    if [ "$silent" -ge "$tries" ]; then
        if [ $((vain + 1)) -ge "$tries" ]; then
            say "the training came to run on none of $tries TPUs: giving up"
            leave 3
        fi
        say "the TPU does not answer: deleting it"
        tpu delete && silent=0 vain=$((vain + 1)) || true
    fi
}

if $dry_run; then
    for step in create setup; do tpu "$step"; done
    start
    for step in state code delete; do tpu "$step"; done
    exit 0
fi
trap 'say "stopped; the TPU is left as it is"; exit 130' INT TERM

silent=0 failed=0 # how often in a row, and how often on this TPU
vain=0            # how many TPUs in a row
while true; do
    state=$(tpu state) || {
        [ $? -ne 2 ] || exit 2 # a wrong flag, which has been reported
        state=UNKNOWN
    }
    case $state in
    READY) attend ;;
    MISSING)
        say "making the TPU"
        silent=0 failed=0
        tpu create || say "refused; again in $pause s"
        ;;
    PREEMPTED | TERMINATED | STOP* | SUSPEND* | FAILED)
        say "the TPU is $state: deleting it"
        tpu delete || true
        ;;
    *) say "the TPU is $state" ;;
    esac
    sleep "$pause"
done
