#!/usr/bin/env bash
# Sets the course up in .venv, beside this file.
# Usage: ./install.sh [--run | --test | --lab | --download | --offline | --help] [arguments]
#   (nothing)   set up the course in .venv; quick when nothing has changed
#   --run       set up, then run the whole course; arguments go to "workshop run"
#   --test      set up with what tests need, then run them; arguments go to pytest
#   --lab       set up, then open JupyterLab on the first notebook; arguments go to JupyterLab
#   --download [DIR]  set up, then put all packages for machines like this one into DIR
#   --offline [DIR]   set up from DIR, without a network (DIR: "wheelhouse" beside this file)
#   --help      show this
#
# It takes the first of python3, python3.13 ... python3.10 that is Python 3.10 to 3.13; without one,
# uv fetches it into .venv.python. To choose one: PYTHON=/path/to/python3.12 ./install.sh
# The settings of pip and uv (PIP_*, UV_*, proxies, certificates) apply as usual.
# To start afresh, delete the folder .venv and run ./install.sh again.

# No arrays, for the bash 3.2 of macOS. pip fetches uv; uv makes .venv.setup/new, to become .venv at
# the end. What --test or a new lock adds goes into .venv, which is marked "unfinished" meanwhile.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # "sh install.sh" should work too
set +o posix
set -eu -o pipefail
readonly FORMAT=2 # raise it when a change in this file must rebuild every .venv
readonly STAMP=.workshop-set-up SETUP=.venv.setup
readonly DOWNLOAD_MB=570 DISK_MB=2500 # measured on Linux x86-64, rounded up
lock=requirements.lock wheelhouse='' version='' unfit='' child='' ours='' log=''
say() { printf '%s\n' "$*" >&2 || true; } # stderr may be closed
die() { say "install.sh: $*"; exit 1; }
bin() { if [ -d "$1/Scripts" ]; then printf %s "$1/Scripts"; else printf %s "$1/bin"; fi; }
# A path as the caller means it, who may stand in another folder.
from_caller() { case $1 in /* | [A-Za-z]:*) printf %s "$1" ;; *) printf %s "$caller/$1" ;; esac }

readonly PROBE='import sys # for Python 2 too, which has to say that it is too old
try: import ensurepip, venv
except ImportError: venv = None
here, bits = sys.version_info, sys.maxsize > 2**32 and 64 or 32
why = ("which is too old for the course (Python 3.10 to 3.13)" if here < (3, 10) else
       "which is too new for the course (Python 3.10 to 3.13)" if here >= (3, 14) else
       "with 32 bits, but TensorFlow needs 64" if bits == 32 else
       "which lacks the venv module (on Debian or Ubuntu: sudo apt install python3-venv,"
       " or python%d.%d-venv for this very one)" % here[:2] if not venv else "")
version = "%d.%d.%d" % here[:3]
why = why and "%s is Python %s, %s" % (sys.argv[1], version, why)
print("|".join([version, venv and bits == 64 and "helps" or "", sys.executable, why]))'
# Does the Python $1 do? It sets python, version, helps (to fetch uv) and, if it does not, reason.
fits() {
    IFS='|' read -r version helps python reason < <("$1" -E -c "$PROBE" "$1" 2>/dev/null |
        tr -d '\r') || reason="$1 is not a Python that runs"
    [ -z "$reason" ]
}
# Where no Python fits, it takes one that can fetch uv, which can fetch a Python.
find_python() {
    local name helper='' found=''
    if [ -n "${PYTHON:-}" ]; then
        case $PYTHON in */*) name=$(from_caller "$PYTHON") ;; *) name=$PYTHON ;; esac
        fits "$name" || die "PYTHON is set, but $reason; unset it or name another one."
        return
    fi
    for name in python3 python3.13 python3.12 python3.11 python3.10 python; do
        ! fits "$name" || return 0
        [ -z "$version" ] || found=${found:-$reason} # else there is none, or a shop window
        [ -z "$helps" ] || helper=${helper:-$name}
    done
    unfit="${found:-No Python was found}: install Python 3.10 to 3.13, or set PYTHON to its path"
    [ -n "$helper" ] || die "$unfit"
    fits "$helper" || true
}

wanted() { echo "set-up $FORMAT of $project with $lock" && cat pyproject.toml "$lock"; }
stamp() { cat "$1/$STAMP" 2>/dev/null || true; }
write_stamp() { wanted >"$1/$STAMP"; }
spoil_stamp() { echo "unfinished with $lock" >"$1/$STAMP"; }
# Can uv make what is wanted of the environment $1? It was made here, runs, and is of PYTHON.
usable() {
    local runs print='import sys; print("%d.%d.%d" % sys.version_info[:3])'
    case $(stamp "$1") in "set-up $FORMAT of $project with "*) ;; *) return 1 ;; esac
    runs=$("$(bin "$1")/python" -I -S -c "$print" 2>/dev/null | tr -d '\r') || return 1
    [ -z "${PYTHON:-}" ] || [ "$runs" = "$version" ]
}
up_to_date() { usable "$1" && [ "$(stamp "$1")" = "$(wanted)" ]; }
free_mb() { df -Pk . 2>/dev/null | awk 'END { print (NR > 1 ? int($4 / 1024) : 99999) }'; }
# Ends with what a tool wrote last and one sentence. $1: what it did, $2: its exit code.
explain() {
    local text again='then run ./install.sh again'
    grep . "$log" | tail -n 6 | sed 's/^/    /' >&2 || true
    text=$(tr '[:upper:]' '[:lower:]' <"$log")
    [ "$(free_mb)" != 0 ] || text='no space'
    case $text in
        *'no space'* | *'not enough space'* | *quota*) die "The disk became full while $1: make" \
            "room (set-up takes about $DISK_MB MB, in $project and in the cache of uv), $again." ;;
        *read-only* | *'permission denied'* | *'access is denied'*) die "Writing was refused" \
            "while $1: make $project writable for you or copy it to a folder of yours, $again." ;;
        *'hash mismatch'* | *'not match the hashes'*) die "A downloaded package is not the one" \
            "that $lock names, so it was not installed: try another network, $again." ;;
    esac
    [ -z "$unfit" ] || die "$unfit"
    [ -z "$wheelhouse" ] || die "$wheelhouse lacks a package for Python $version on this machine:" \
        "make it with ./install.sh --download on a machine of the same kind."
    case $text in
        *certificate*) die "A certificate was refused while $1: if your organisation inspects" \
            "traffic, set PIP_CERT and SSL_CERT_FILE to its certificate file, $again." ;;
        *connect* | *'error sending'* | *'request failed'* | *proxy* | *'timed out'*) die "No" \
            "connection to the package index while $1: check the network (and the proxy or index," \
            "if you use one), $again; without a network: ./install.sh --offline DIR." ;;
        *'from versions: none'*) die "The package index gave nothing while $1: look at pip's settings" \
            "(pip config list, PIP_INDEX_URL, PIP_NO_INDEX) and at the network, $again." ;;
    esac
    die "Set-up failed while $1, for the reason above (exit code $2): mend that, $again."
}
# Shows some of what a tool writes, at once: awk might keep a line until the tool has ended.
run_step() {
    set +m
    unset PYTHONDONTWRITEBYTECODE UV_SYSTEM_PYTHON UV_PYTHON UV_BREAK_SYSTEM_PACKAGES
    LC_ALL=C "$@" 2>&1 </dev/null | tee "$log" | while IFS= read -r line; do
        case $line in *Downloading\ * | *Downloaded\ * | Another\ *) say "     $line" ;; esac
    done
}
# step WHAT COMMAND...: in the background, since bash handles signals only between commands and in
# "wait"; in a process group of its own, so that all of it can be ended.
step() {
    local rc=0
    set -m
    run_step "${@:2}" &
    child=$!
    set +m
    wait "$child" || rc=$?
    child=''
    [ "$rc" -eq 0 ] || explain "$1" "$rc"
}

at_exit() {
    local rc=$?
    trap '' EXIT INT TERM HUP
    [ "$rc" -lt 128 ] || say "install.sh: Interrupted; just run ./install.sh again."
    if [ -n "$child" ]; then { kill -TERM -- "-$child" && wait; } 2>/dev/null || true; fi
    if [ -n "$ours" ] && ! up_to_date "$SETUP/new"; then rm -rf "$SETUP" || true; fi
    rm -f "$log"
    exit "$rc"
}
prepare() { rm -rf "$SETUP/old" "$SETUP/pip" && mkdir -p "$SETUP"; }
pip_says() { "$1/python" -I -m pip config get "global.$2" 2>/dev/null | tr -d '\r'; }
uv_only() { awk '{ sub(/\r$/, "") } /^uv==/ { on = 1 } on { print } !/\\$/ { on = 0 }' "$lock"; }

build() {
    local target=.venv place
    set -- ${wheelhouse:+--no-index --find-links "$wheelhouse"}
    say "Setting up the course in $project/.venv with Python $version ($python)."
    if usable .venv; then
        place=$(bin .venv)
        step "changing .venv" spoil_stamp .venv
    else
        [ "$(free_mb)" -ge $DISK_MB ] || say "Note: $(free_mb) MB are free here; it takes $DISK_MB."
        say "1/2  uv, which installs the rest"
        target=$SETUP/new place=$SETUP/pip
        { uv_only >"$SETUP/uv.txt"; } 2>/dev/null || true # pip will tell why
        step "making an environment for pip" "$python" -I -m venv "$place"
        place=$(bin "$place")
        step "downloading uv" env PIP_RETRIES="${PIP_RETRIES:-2}" "$place/python" -I \
            -m pip download --quiet --disable-pip-version-check --no-input --require-hashes \
            --no-deps --only-binary :all: -r "$SETUP/uv.txt" -d "$SETUP/pip" "$@"
        set -- "$@" --find-links "$SETUP/pip" # .venv gets uv, too: from here, not from the network
        # Without the user's settings, such as PIP_USER, which cannot apply there.
        step "installing uv" env PIP_CONFIG_FILE=/dev/null "$place/python" -I -m pip install \
            --isolated --quiet --no-deps --no-index --find-links "$SETUP/pip" -r "$SETUP/uv.txt"
    fi
    # uv is told what the user has told pip. A crowded classroom network is slow.
    : "${PIP_INDEX_URL:=$(pip_says "$place" index-url)}" "${PIP_CERT:=$(pip_says "$place" cert)}"
    [ -z "$PIP_INDEX_URL" ] || [ -n "${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-}${UV_CONFIG_FILE:-}" ] ||
        export UV_DEFAULT_INDEX="$PIP_INDEX_URL"
    [ ! -f "$PIP_CERT" ] || export SSL_CERT_FILE="${SSL_CERT_FILE:-$PIP_CERT}"
    export UV_HTTP_TIMEOUT="${UV_HTTP_TIMEOUT:-120}"
    export UV_PYTHON_INSTALL_DIR="${UV_PYTHON_INSTALL_DIR:-$project/.venv.python}"
    [ -z "$unfit" ] || python=3.12 version=3.12 # uv finds or fetches one
    [ "$target" = .venv ] ||
        step "making .venv" "$place/uv" venv --clear --force --relocatable -p "$python" "$target"
    unfit=''
    say "2/2  TensorFlow, JupyterLab and the rest (about $DOWNLOAD_MB MB once; takes some minutes)"
    step "installing the packages" "$place/uv" pip sync --color never --python "$target" \
        --require-hashes "$@" "$lock"
    step "compiling the packages" "$(bin "$target")/python" -I -c "$FINISH"
    step "installing workshop_utils" "$place/uv" pip install --color never --python "$target" \
        --no-deps --no-build-isolation "$@" -e .
    [ -d "$target/pristine" ] || [ ! -d notebooks ] || # for "workshop reset" where there is no git
        step "copying the notebooks" cp -R notebooks "$target/pristine"
    [ ! -d jupyter ] || step "copying the settings of Jupyter" cp -R jupyter/. "$target"
    step "finishing .venv" write_stamp "$target"
}

# Python compiles a module when it is first imported. All are compiled here instead, since that takes
# long and others than the owner may be unable to store it: all but the tests of packages and what
# they brought along, a quarter of it, which no course imports. Files for Python 2 fail, in silence.
# Headers and a library for who extends TensorFlow or Unicorn in C take 330 MB, and they go.
readonly FINISH='import compileall, pathlib, re, shutil, sysconfig
packages = pathlib.Path(sysconfig.get_path("purelib"))
shutil.rmtree(packages / "tensorflow/include", ignore_errors=True)
(packages / "unicorn/lib/libunicorn.a").unlink(missing_ok=True)
skip = re.compile(r"[\\/](tests?|_vendored)[\\/]")
compileall.compile_dir(packages, quiet=2, workers=0, rx=skip)'

# One run at a time. The lock is that of the open file 9, so of this run and all that it starts; the
# system frees it when they have ended. Windows has none: there the slower of two may fail.
readonly WAIT='import sys
try: import fcntl
except ImportError: sys.exit()
try: fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print("Another install.sh is setting up this folder; waiting for it.", flush=True)
    fcntl.flock(9, fcntl.LOCK_EX)
except OSError: pass # a file system without locks'

set_up() {
    trap at_exit EXIT
    trap 'exit 130' INT; trap 'exit 143' TERM HUP
    if usable .venv; then fits "$(bin .venv)/python" || true; else find_python; fi
    log=$(mktemp 2>/dev/null) || die "No temporary file can be made in ${TMPDIR:-/tmp}: set TMPDIR."
    exec 9<install.sh
    step "waiting for another install.sh" "$python" -I -c "$WAIT"
    # Only now, since another run may just have made .venv. An empty folder may be used.
    [ -f ".venv/$STAMP" ] || rmdir .venv 2>/dev/null || ! ls -d .venv >/dev/null 2>&1 ||
        die "$project/.venv was not made by install.sh: rename or delete it, then run it again."
    ours=yes
    step "preparing $SETUP" prepare
    # The other one may have done all, or have been killed before it could rename what it had made.
    if ! up_to_date .venv && ! up_to_date "$SETUP/new"; then build; fi
    if [ -d "$SETUP/new" ]; then
        if [ -d .venv ]; then step "replacing .venv" mv .venv "$SETUP/old"; fi
        step "replacing .venv" mv "$SETUP/new" .venv
    fi
    trap - EXIT INT TERM HUP
    rm -rf "$SETUP" "$log"; exec 9<&- # the lock
}

mode=${1:-} caller=$PWD; [ $# = 0 ] || shift
project=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
cd -- "$project"
case $mode in
    '' | --run | --test | --lab) ;;
    --download) set -- "$(from_caller "${1:-$project/wheelhouse}")" ;;
    --offline)
        wheelhouse=$(from_caller "${1:-$project/wheelhouse}") mode=''
        ls "$wheelhouse"/uv-*.whl >/dev/null 2>&1 || die "There are no packages in $wheelhouse:" \
            "name the folder that ./install.sh --download has made on a machine like this one." ;;
    -h | --help) exec sed -n '2,/^$/s/^# \{0,1\}//p' install.sh ;;
    *) say "install.sh: Unknown option '$mode'; ./install.sh --help lists all."; exit 2 ;;
esac
# What --test has added stays.
case $mode:$(stamp .venv | head -n 1) in --test:* | *-dev.lock) lock=requirements-dev.lock ;; esac
[ -f pyproject.toml ] && [ -f "$lock" ] ||
    die "pyproject.toml or $lock is missing in $project: get a complete copy of the project."
[ -z "${PYTHON:-}" ] || find_python
if up_to_date .venv; then ready='Ready; nothing has changed.'; else set_up; fi
[ -n "$mode" ] || { echo "${ready:-Ready.} Next: ./install.sh --lab or ./install.sh --run"; exit; }

# As if activated, so that "!workshop" in a notebook finds the course's own.
bin=$(bin "$project/.venv")
export VIRTUAL_ENV="$project/.venv" PATH="$bin:$PATH"
unset PYTHONHOME
case $mode in
    --run) cd -- "$caller"; exec "$bin/workshop" run "$@" ;; # --output is relative to there
    --lab) exec "$bin/python" -m jupyterlab --ServerApp.root_dir=. notebooks/01_setup.ipynb "$@" ;;
    # Three processes at a time, a file of tests each: two cores stay busy while some tests wait.
    # nbval would import what takes seconds, in each; the test of notebooks starts one that has it.
    --test)
        case " $*" in *" --nbval"*) ;; *) set -- -p no:nbval "$@" ;; esac
        exec "$bin/python" -m pytest -n 3 --dist loadfile --no-loadscope-reorder "$@" ;;
esac
# --download. uv made the lock and does without upper bounds of "Requires-Python"; so must pip.
PIP_USER=0 "$bin/python" -I -m pip download --require-hashes --no-deps --only-binary :all: \
    --ignore-requires-python -r requirements.lock -d "$1" ||
    die "The packages in $1 are not complete (see above): run this again to go on."
echo "All packages for machines like this one are in $1 ($(find "$1" -name '*.whl' | wc -l | tr -d ' ') files," \
    "$(($(du -sk "$1" | cut -f1) * 1024 / 1000000)) MB). Next, there: ./install.sh --offline DIR"
