# Sourced by the scripts that start runs elsewhere: help, errors and dry runs.

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
here=$PWD
dry_run=false

# Prints the comment at the top of the script.
help() {
    sed -n '2,/^$/s/^# \{0,1\}//p' "$0"
    exit 0
}

# Reports the caller's mistake in one sentence.
fail() {
    echo "$(basename "$0"): $1" >&2
    exit 2
}

# need COMMAND HOW: the command must exist, unless this is a dry run.
need() {
    $dry_run || command -v "$1" >/dev/null || fail "$1 is not there; $2"
}

# value FLAG VALUE: prints the value given to the flag.
value() {
    [ $# -gt 1 ] && [ -n "$2" ] || fail "$1 lacks its value; see --help"
    echo "$2"
}

# Prints the words quoted so that a shell can read them back.
words() {
    local word line="" quote="'\\''"
    for word; do
        case $word in
        "" | *[!A-Za-z0-9_@%+=:,./~-]*) word="'${word//"'"/$quote}'" ;;
        esac
        line="$line $word"
    done
    echo "${line# }"
}

# Runs a command; with --dry-run it is only printed.
run() {
    if $dry_run; then words "$@"; else "$@"; fi
}

# in_bucket WORD...: whether the --workdir among the words of a training is a URL.
in_bucket() {
    local url=' --workdir[ =][^ ]+://'
    [[ " $*" =~ $url ]]
}

# The absolute form of a path as the caller wrote it.
absolute() {
    case $1 in
    /* | *://*) echo "$1" ;;
    *) echo "$here/$1" ;;
    esac
}

# ask COMMAND: the word that it prints; MISSING if what it asks for does not exist.
ask() {
    local said
    if $dry_run; then
        words "$@"
    elif said=$("$@" 2>&1); then
        tail -n 1 <<<"$said"
    elif grep -Eq "NOT_FOUND|was not found" <<<"$said"; then
        echo MISSING
    else
        echo "$said" >&2
        return 1
    fi
}
