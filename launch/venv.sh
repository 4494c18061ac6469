# Sourced by the other scripts: makes .venv in the clone and installs the package there.
# PYTHON=python3.12 chooses the interpreter; $1 names the extras, as "[dev]".

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python=${PYTHON:-python3}
if ! command -v "$python" >/dev/null; then
    echo "$python is not there; PYTHON=/path/to/python3.12 chooses another" >&2
    exit 2
fi
if ! "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'; then
    echo "$("$python" --version) is there, 3.11 to 3.13 is needed;" \
        "PYTHON=python3.12 chooses another" >&2
    exit 2
fi
# A venv whose creation was interrupted has a Python, but no pip.
if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    echo "making .venv and installing emotion_jax: a minute or two"
    "$python" -m venv --clear .venv
fi
.venv/bin/python -m pip install --quiet --disable-pip-version-check -e ".${1:-}"
