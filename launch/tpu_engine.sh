# Sourced by tpu_vm.sh: Compute Engine instances with TPUs; several hosts are a group
# of instances, whose workload policy wires their chips together.

image_family=ubuntu-accel-2204-amd64-tpu-v5e-v5p-v6e
! $queued || fail "Compute Engine has no queue: leave --queued out"
case $type in
v6e-1 | v6e-4 | v6e-8) machine=ct6e-standard-${size}t ;;
v6e-16) machine=ct6e-standard-4t topology=4x4 hosts=4 ;;
v6e-32) machine=ct6e-standard-4t topology=4x8 hosts=8 ;;
v6e-64) machine=ct6e-standard-4t topology=8x8 hosts=16 ;;
v6e-128) machine=ct6e-standard-4t topology=8x16 hosts=32 ;;
v6e-256) machine=ct6e-standard-4t topology=16x16 hosts=64 ;;
v5p-8) machine=ct5p-hightpu-4t ;;
v5p-16) machine=ct5p-hightpu-4t topology=2x2x2 hosts=2 ;;
v5p-32) machine=ct5p-hightpu-4t topology=2x2x4 hosts=4 ;;
v5p-64) machine=ct5p-hightpu-4t topology=2x4x4 hosts=8 ;;
v5p-128) machine=ct5p-hightpu-4t topology=4x4x4 hosts=16 ;;
v6e-* | v5p-*) fail "Compute Engine has no $type: v6e-1, 4, 8, 16 ... 256, v5p-8, 16 ... 128" ;;
*) fail "Compute Engine has v6e and v5p; without --compute-engine there is $type" ;;
esac
region=("--region=${zone%-*}" "${everywhere[@]:1}")
compute=(gcloud compute)

create() {
    local what=("--machine-type=$machine" "--image-project=ubuntu-os-accelerator-images"
        "--image-family=${runtime:-$image_family}" --maintenance-policy=TERMINATE
        --boot-disk-size=100GB --scopes=cloud-platform)
    ! $spot || what+=(--provisioning-model=SPOT --instance-termination-action=DELETE)
    if ! $several; then
        run "${compute[@]}" instances create "$name" "${everywhere[@]}" "${what[@]}"
        return
    fi
    # Whatever a refused attempt left behind is reused.
    { ! $dry_run && is_there resource-policies describe "$name" "${region[@]}"; } ||
        run "${compute[@]}" resource-policies create workload-policy "$name" "${region[@]}" \
            --type=HIGH_THROUGHPUT "--accelerator-topology=$topology"
    { ! $dry_run && is_there instance-templates describe "$name" "${everywhere[@]:1}"; } ||
        run "${compute[@]}" instance-templates create "$name" "${everywhere[@]:1}" "${what[@]}"
    run "${compute[@]}" instance-groups managed create "$name" "${everywhere[@]}" \
        "--template=$name" "--size=$hosts" "--workload-policy=$name" \
        --default-action-on-vm-failure=do-nothing
}

# Whether a resource exists; exits the script if gcloud cannot say.
is_there() {
    local found
    found=$(ask "${compute[@]}" "$@" --format=none) || exit 1
    [ "$found" != MISSING ]
}

# Prints one word: READY, TERMINATED, ...; MISSING if there is none; otherwise fails.
state() {
    local found count
    if $several; then
        found=$(ask "${compute[@]}" instance-groups managed describe "$name" "${everywhere[@]}" \
            "--format=value(status.isStable)") || return
        if [ "$found" = True ]; then
            count=$(running) || return
            [ "$count" = "$hosts" ] || found=PREEMPTED
        fi
    else
        found=$(ask "${compute[@]}" instances describe "$name" "${everywhere[@]}" "--format=value(status)") || return
    fi
    case $found in
    RUNNING | True) echo READY ;;
    False) echo CREATING ;;
    *) echo "$found" ;;
    esac
}

# The number of instances in the group; fails if gcloud cannot say.
running() {
    local list
    list=$("${compute[@]}" instance-groups managed list-instances "$name" "${everywhere[@]}" \
        "--format=value(instanceStatus)") || return
    grep -c RUNNING <<<"$list" || true
}

delete() {
    if ! $several; then
        run "${compute[@]}" instances delete "$name" "${everywhere[@]}" --quiet
        return
    fi
    discard instance-groups managed "${everywhere[@]}" &&
        discard instance-templates "${everywhere[@]:1}" &&
        discard resource-policies "${region[@]}"
}

# discard KIND ... FLAGS: deletes the resource of this name, if it exists.
discard() {
    local things=()
    while [ $# -gt 0 ] && [[ $1 != --* ]]; do things+=("$1") && shift; done
    if $dry_run || is_there "${things[@]}" describe "$name" "$@"; then
        run "${compute[@]}" "${things[@]}" delete "$name" "$@" --quiet
    fi
}

# Every host's name, the coordinator's first; in a dry run they have no names yet.
names() {
    if ! $several; then
        echo "$name"
    elif $dry_run; then
        seq -f "$name-host%g" 0 $((hosts - 1))
    else
        "${compute[@]}" instance-groups managed list-instances "$name" "${everywhere[@]}" \
            "--format=value(instance.basename())" | sort
    fi
}

on() {
    run "${compute[@]}" ssh "$1" "${everywhere[@]}" "${ssh_flags[@]}" "--command=$2"
}

# on_each FUNCTION ARGUMENTS: calls it for every host, as FUNCTION HOST NUMBER ARGUMENTS,
# and fails if one fails. The first host goes first, since gcloud may have to make a key
# for it, and then all others at once.
on_each() {
    local all host number=0 pid pids="" code=0
    all=$(names) || return
    for host in $all; do
        if [ "$number" = 0 ] || $dry_run; then
            "$1" "$host" "$number" "${@:2}" </dev/null || return
        else
            "$1" "$host" "$number" "${@:2}" </dev/null &
            pids="$pids $!"
        fi
        number=$((number + 1))
    done
    # Background processes do not receive Ctrl-C.
    trap 'for pid in $pids; do pkill -P "$pid"; done; exit 130' INT TERM
    for pid in $pids; do wait "$pid" || code=$?; done
    trap - INT TERM
    return "$code"
}

on_hosts() {
    on_each command_on "$1"
}

command_on() {
    on "$1" "$3"
}

on_first() {
    on "$(names | head -n 1)" "$1"
}

copy_in() {
    on_each copy_to "$@"
}

copy_to() {
    run "${compute[@]}" scp "$3" "$1:$4" "${everywhere[@]}" "${scp_flags[@]}"
}

copy_out() {
    run "${compute[@]}" scp "$(names | head -n 1):$1" "$2" "${everywhere[@]}" "${scp_flags[@]}" --recurse
}

# With several hosts, each is given the first one's address, as an instance cannot ask.
train() {
    local all
    all=$(names) || return
    ! $several || set -- "$@" --coordinator "${all%%$'\n'*}:8476" --processes "$hosts"
    on_each train_on "$@"
}

train_on() {
    local host=$1 process=$2
    shift 2
    ! $several || set -- "$@" --process "$process"
    on "$host" "$on_host run $(words "$@")"
}
