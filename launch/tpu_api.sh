# Sourced by tpu_vm.sh: a TPU VM, through the Cloud TPU API.

case $kind in
v5litepod) usual=v2-alpha-tpuv5-lite ;;
v6e) usual=v2-alpha-tpuv6e ;;
v5p) usual=v2-alpha-tpuv5 ;;
*) usual=tpu-ubuntu2204-base ;;
esac
tpus=(gcloud compute tpus)

create() {
    local how=("--accelerator-type=$type" "${everywhere[@]}")
    ! $spot || how+=(--spot)
    if $queued; then
        run "${tpus[@]}" queued-resources create "$name" "--node-id=$name" \
            "--runtime-version=${runtime:-$usual}" "${how[@]}"
    else
        run "${tpus[@]}" tpu-vm create "$name" "--version=${runtime:-$usual}" "${how[@]}"
    fi
}

# Prints one word: READY, PREEMPTED, ...; MISSING if there is no TPU; otherwise fails.
state() {
    local found
    if $queued; then
        found=$(ask "${tpus[@]}" queued-resources describe "$name" "${everywhere[@]}" "--format=value(state.state)") || return
        [ "$found" != ACTIVE ] || found=READY
        echo "$found"
    else
        ask "${tpus[@]}" tpu-vm describe "$name" "${everywhere[@]}" "--format=value(state)"
    fi
}

delete() {
    if $queued; then
        run "${tpus[@]}" queued-resources delete "$name" "${everywhere[@]}" --force --quiet
    else
        run "${tpus[@]}" tpu-vm delete "$name" "${everywhere[@]}" --quiet
    fi
}

on_hosts() {
    run "${tpus[@]}" tpu-vm ssh "$name" "${everywhere[@]}" "${ssh_flags[@]}" --worker=all "--command=$1"
}

on_first() {
    run "${tpus[@]}" tpu-vm ssh "$name" "${everywhere[@]}" "${ssh_flags[@]}" --worker=0 "--command=$1"
}

copy_in() {
    run "${tpus[@]}" tpu-vm scp "$1" "$name:$2" "${everywhere[@]}" "${scp_flags[@]}" --worker=all
}

copy_out() {
    run "${tpus[@]}" tpu-vm scp "$name:$1" "$2" "${everywhere[@]}" "${scp_flags[@]}" --worker=0 --recurse
}

# Several hosts find each other by asking the TPU.
train() {
    ! $several || set -- "$@" --coordinator auto
    on_hosts "$on_host run $(words "$@")"
}
