#!/usr/bin/env bash
# What tpu_vm.sh has each host of a TPU do, in the copy of the clone there.
#
#   bash emotion_jax/launch/on_host.sh setup       makes .venv with Python 3.12
#   bash emotion_jax/launch/on_host.sh run FLAGS   starts the training, and returns
#   bash emotion_jax/launch/on_host.sh code        code=none, running, or its exit code

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

is_running() {
    [ -e run.pid ] && kill -0 "$(cat run.pid)" 2>/dev/null
}

# Stops the training, which saves its current step.
stop() {
    local waited
    is_running || return 0
    kill "$(cat run.pid)" || true
    for waited in $(seq 60); do
        is_running || return 0
        [ "$waited" -lt 60 ] || kill -9 -- "-$(cat run.pid)"
        sleep 1
    done
}

# May run during the upgrade that Ubuntu does at boot: apt waits for its package lock, but
# not for its lists, so updating them is retried.
install_pip() {
    local tried apt=(sudo apt-get -o DPkg::Lock::Timeout=300)
    for tried in $(seq 30); do
        ! "${apt[@]}" update || break
        [ "$tried" -lt 30 ] || return
        sleep 10
    done
    "${apt[@]}" install --yes python3-pip
}

case ${1:-} in
setup)
    python3 -m pip --version >/dev/null 2>&1 || install_pip
    python3 -m pip install --quiet --user uv
    uv=$(python3 -m site --user-base)/bin/uv
    "$uv" venv --quiet --allow-existing --python 3.12 .venv
    "$uv" pip install --quiet --python .venv/bin/python -e ".[tpu,gcs]"
    ;;
run)
    shift
    stop
    rm -f run.code run.pid
    # In its own session, it outlives the connection; the shell waits for its exit code.
    # shellcheck disable=SC2016  # that shell expands it
    setsid bash -c '
        echo $$ >run.pid
        trap "kill -TERM \$!" TERM
        .venv/bin/python -m emotion_jax.train "$@" &
        while kill -0 $! 2>/dev/null; do wait $! || true; done
        wait $! && code=0 || code=$?
        echo "$code" >.run.code
        mv .run.code run.code
    ' train "$@" </dev/null >run.log 2>&1 &
    until [ -e run.pid ]; do sleep 0.1; done
    ;;
code)
    if [ -e run.code ]; then
        echo "code=$(cat run.code)"
    elif is_running; then
        echo code=running
    elif [ -e run.pid ]; then
        echo code=137 # killed with its shell, or the host restarted
    else
        echo code=none
    fi
    ;;
*)
    echo "on_host.sh: setup, run FLAGS or code" >&2
    exit 2
    ;;
esac
