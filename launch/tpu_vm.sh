#!/usr/bin/env bash
# A TPU for one run: make it, set it up, train on all its hosts, look, delete it.
#
#   bash launch/tpu_vm.sh create --name faces --zone us-east5-b --type v6e-8 --spot
#   bash launch/tpu_vm.sh setup  --name faces --zone us-east5-b --type v6e-8 --upload fer2013.csv
#   bash launch/tpu_vm.sh run    --name faces --zone us-east5-b --type v6e-8 -- --config configs/fer5.py --workdir gs://bucket/runs/fer5 --data fer2013=fer2013.csv
#   bash launch/tpu_vm.sh logs   --name faces --zone us-east5-b --type v6e-8
#   bash launch/tpu_vm.sh status --name faces --zone us-east5-b --type v6e-8
#   bash launch/tpu_vm.sh fetch  --name faces --zone us-east5-b --type v6e-8 --workdir runs/fer5 --to runs
#   bash launch/tpu_vm.sh delete --name faces --zone us-east5-b --type v6e-8
#
# create   --spot: cheaper, may be taken away (launch/babysit.sh makes it anew);
#          --queued: as soon as there is one, instead of now or never
# setup    copies the clone, and each --upload FILE into it, to every host, and
#          installs a Python 3.12 with uv, as Ubuntu 22.04's own is too old
# run      starts the training on every host and returns; what follows -- are the
#          training's flags, paths as seen from the clone; an earlier run is stopped
# logs     follows the first host's log; Ctrl-C leaves the run alone
# status   the TPU's state, and the run's: none, running, or its exit code
# fetch    brings --workdir, from the TPU or from its bucket, into the folder --to
#
# --type   v5litepod-N, v6e-N (N chips), v4-N, v5p-N (N cores); above 8: several hosts,
#          which want their --workdir in a bucket
# --project ID        default: gcloud's own
# --compute-engine    as a Compute Engine instance, or a group of them (v6e, v5p)
# --runtime VERSION   another image than the type's usual one
# --dry-run           prints what would be run

# shellcheck source=launch/shell.sh
source "$(dirname "${BASH_SOURCE[0]}")/shell.sh"

command=${1:---help}
shift || true
name="" zone="" type="" project="" runtime="" workdir="" to=""
spot=false queued=false engine=false
files=()
while [ $# -gt 0 ]; do
    case $1 in
    --help) help ;;
    --dry-run) dry_run=true ;;
    --spot) spot=true ;;
    --queued) queued=true ;;
    --compute-engine) engine=true ;;
    --name) name=$(value "$@"); shift ;;
    --zone) zone=$(value "$@"); shift ;;
    --type) type=$(value "$@"); shift ;;
    --project) project=$(value "$@"); shift ;;
    --runtime) runtime=$(value "$@"); shift ;;
    --workdir) workdir=$(value "$@"); shift ;;
    --to) to=$(value "$@"); shift ;;
    --upload) file=$(value "$@"); shift; files+=("$(absolute "$file")") ;;
    --) shift && break ;;
    *) fail "unknown flag $1; see --help" ;;
    esac
    shift
done

case $command in
--help | -h) help ;;
create | setup | run | logs | tail | state | code | status | fetch | delete) ;;
*) fail "unknown command $command: create, setup, run, logs, status, fetch or delete" ;;
esac
[ -n "$name" ] && [ -n "$zone" ] && [ -n "$type" ] || fail "--name, --zone and --type are needed"
[[ $type =~ ^(v4|v5litepod|v5p|v6e)-([0-9]+)$ ]] ||
    fail "unknown --type $type: v5litepod-8, v6e-8, v4-8, v5p-8, or with another number"
kind=${BASH_REMATCH[1]} size=${BASH_REMATCH[2]}
several=false
[ "$size" -le 8 ] || several=true
everywhere=("--zone=$zone") # flags for every gcloud command
[ -z "$project" ] || everywhere+=("--project=$project")
# A host that is gone is reported within a minute, not waited for.
ssh_flags=(--ssh-flag=-oServerAliveInterval=15 --ssh-flag=-oConnectTimeout=30)
scp_flags=(--scp-flag=-oServerAliveInterval=15 --scp-flag=-oConnectTimeout=30)
upload=() # arguments for tar
for file in "${files[@]+"${files[@]}"}"; do
    $dry_run || [ -e "$file" ] || fail "--upload: there is no $file"
    upload+=(-C "$(dirname "$file")" "$(basename "$file")")
done
need gcloud "install the Google Cloud CLI, then: gcloud init"

# Each defines: create, state, delete, on_hosts, on_first, copy_in, copy_out, train.
if $engine; then
    # shellcheck source=launch/tpu_engine.sh
    source "$root/launch/tpu_engine.sh"
else
    # shellcheck source=launch/tpu_api.sh
    source "$root/launch/tpu_api.sh"
fi
on_host="bash emotion_jax/launch/on_host.sh"
cd "$root"

# The clone is copied as it is, with any uncommitted changes.
setup() {
    local archive=dist/$name.tgz parts=(emotion_jax configs launch setup.py pyproject.toml README.md)
    run mkdir -p dist
    run tar -czf "$archive" --exclude=__pycache__ "${parts[@]}" "${upload[@]+"${upload[@]}"}"
    copy_in "$archive" emotion_jax.tgz
    run rm "$archive"
    on_hosts "mkdir -p emotion_jax && tar -xzf emotion_jax.tgz -C emotion_jax && $on_host setup"
}

# The run's state on all hosts in one word; if they differ, the one to act on.
code() {
    local said word
    said=$(on_hosts "$on_host code 2>/dev/null || echo code=none")
    if $dry_run; then
        echo "$said"
        return
    fi
    said=$(grep -Eo 'code=[a-z0-9]+' <<<"$said" | cut -d= -f2 | sort -n)
    for word in none running 2 1; do
        if grep -qx "$word" <<<"$said"; then
            echo "$word"
            return
        fi
    done
    tail -n 1 <<<"$said"
}

case $command in
run)
    [ $# -gt 0 ] || fail "run wants the training's flags after --, as: -- --config configs/fer5.py ..."
    ! $several || in_bucket "$@" ||
        fail "on several hosts the training wants --workdir gs://BUCKET/..., as they share no disk"
    train "$@"
    ;;
logs) on_first "tail -n 100 -F emotion_jax/run.log" ;;
tail) on_first "tail -n 20 emotion_jax/run.log" ;;
status) state && code ;;
fetch)
    [ -n "$workdir" ] && [ -n "$to" ] || fail "fetch wants --workdir DIR --to DIR"
    to=$(absolute "$to")
    run mkdir -p "$to"
    case $workdir in
    *://*) run gcloud storage cp "$workdir" "$to" --recursive ;;
    *) copy_out "emotion_jax/$workdir" "$to" ;;
    esac
    ;;
*) "$command" ;;
esac
