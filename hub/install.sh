#!/usr/bin/env bash
# Installs the hub: JupyterHub into hub/.venv, its proxy into hub/node_modules, all in pinned
# versions and checked by hash. Run ./install.sh first: it makes the course's own environment.
# Usage: hub/install.sh [FOLDER]   (FOLDER: where to, instead of hub/)
# It takes the course's Python; to choose another: PYTHON=/usr/bin/python3 hub/install.sh
set -euo pipefail
case "${1:-}" in
    -h | --help)
        sed -n '2,/^[^#]/s/^# //p' -- "${BASH_SOURCE[0]}"
        exit
        ;;
    -*)
        printf 'hub/install.sh: There is no option %s; see --help.\n' "$1" >&2
        exit 2
        ;;
esac
hub=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
course=$(dirname -- "$hub")
target=${1:-$hub}
uv=$course/.venv/bin/uv

fail() {
    printf 'hub/install.sh: %s\n' "$*" >&2
    exit 1
}

[ -x "$uv" ] || fail "The course is not set up: run ./install.sh first."
node=$(node --version 2>/dev/null) || fail "Node.js is missing: install version 20 or newer, with npm."
major=${node#v}
[ "${major%%.*}" -ge 20 ] || fail "Node.js $node is too old for the proxy: install version 20 or newer."
command -v npm >/dev/null || fail "npm is missing: install it (it usually comes with Node.js)."

mkdir -p -- "$target"
target=$(CDPATH='' cd -- "$target" && pwd -P)
"$uv" venv --quiet --allow-existing --python "${PYTHON:-$course/.venv/bin/python}" "$target/.venv"
"$uv" pip sync --quiet --python "$target/.venv/bin/python" --require-hashes --compile-bytecode \
    "$hub/requirements.lock"
cp -R -- "$course/jupyter/." "$target/.venv"
[ "$target" = "$hub" ] || cp -- "$hub/package.json" "$hub/package-lock.json" "$target"
npm ci --prefix "$target" --omit=dev --ignore-scripts --no-audit --no-fund --loglevel=error
printf 'The hub is installed in %s\n' "$target"
