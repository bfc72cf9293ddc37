#!/usr/bin/env bash
# Sets the course up in .venv, beside this file; "./install.sh --help" lists what else it does.
#
# It runs on the bash 3.2 of macOS and in Git Bash on Windows as well, which is why it does without
# associative arrays, mapfile and sha256sum.
#
# What is where while it works, so that no killed run leaves a half-made .venv that a later one
# trusts:
#   .venv/.workshop-set-up  "unfinished" until the last step, then a fingerprint, put by a rename
#   .venv.old               the .venv that is being replaced; put back if replacing it fails
#   .venv.lock/             held by the one run that may change all this; holds its process id
#   .venv.trash.*           on its way out: renamed first, since deleting thousands of files can be
#                           interrupted and renaming cannot

# "sh install.sh" should work too.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@"
set +o posix
set -eu -o pipefail

readonly SET_UP_VERSION=1 # raise it when a change in this file must rebuild every .venv
readonly OLDEST=10 NEWEST=13 # Python 3.x
readonly STAMP=.workshop-set-up
readonly DOWNLOAD_MB=500 DISK_MB=2500 # measured on Linux x86-64, rounded up

project='' # the folder of this file
caller='' # the folder that it was called from
python='' # the Python that .venv is made with, and what to call it in a sentence
python_version=''
reason='' # why a Python will not do
work='' # temporary folder with the log
log=''
keep_log=no
locked=no
building=no
wheelhouse='' # folder with all packages, to set up from without a network
child='' # process group of the step that is running

usage() {
    cat <<'USAGE'
Usage: ./install.sh [--run | --test | --lab | --download | --offline | --help] [arguments]

  (nothing)   set up the course in .venv; quick when nothing has changed
  --run       set up, then run the whole course; arguments go to "workshop run"
  --test      set up, then run the tests; arguments go to pytest
  --lab       set up, then open JupyterLab on the first notebook; arguments go to JupyterLab
  --download [DIR]  set up, then put all packages for machines like this one into DIR
  --offline [DIR]   set up from DIR, without a network
  --help      show this

DIR is the folder "wheelhouse" beside this file unless you name another.

It needs Python 3.10 to 3.13 and takes python3 or python3.13 ... python3.10, whichever fits first.
To choose one: PYTHON=/path/to/python3.12 ./install.sh
The settings of pip and uv (PIP_*, UV_*, proxies, certificates) apply as usual.
To start afresh, delete the folder .venv and run ./install.sh again.
USAGE
}

say() { printf '%s\n' "$*" >&2; }

die() {
    say "install.sh: $*"
    exit 1
}

# ------------------------------------------------------------------ which Python

# For Python 2 too, which has to be able to say that it is too old.
readonly PROBE='
import sys
try:
    import ensurepip, venv
    has_venv = "yes"
except ImportError:
    has_venv = "no"
bits = 64 if sys.maxsize > 2**32 else 32
print("%d %d %d %d %s" % (sys.version_info[:3] + (bits, has_venv)))
'

# Does the Python $1 do? It sets python_version, and if not, reason.
fits() {
    local name=$1 found range="Python 3.$OLDEST to 3.$NEWEST" major minor
    found=$("$name" -E -c "$PROBE" 2>/dev/null | tr -d '\r') || found=''
    # shellcheck disable=SC2086 # five words are meant
    set -- $found
    reason='' python_version=''
    if [ $# -ne 5 ]; then
        reason="$name is not a Python that runs"
        return 1
    fi
    major=$1 minor=$2 python_version=$1.$2.$3
    if [ "$major" -lt 3 ] || { [ "$major" -eq 3 ] && [ "$minor" -lt "$OLDEST" ]; }; then
        reason="$name is Python $python_version, which is too old for the course ($range)"
    elif [ "$major" -gt 3 ] || [ "$minor" -gt "$NEWEST" ]; then
        reason="$name is Python $python_version, which is too new for the course ($range)"
    elif [ "$4" -ne 64 ]; then
        reason="$name is a 32-bit Python $python_version, but TensorFlow needs a 64-bit one"
    elif [ "$5" != yes ]; then
        reason="$name (Python $python_version) lacks the venv module"
    fi
    [ -z "$reason" ]
}

no_venv_sentence() {
    printf '%s' "$1: install it (on Debian or Ubuntu: sudo apt install python3-venv," \
        " or python${python_version%.*}-venv for this very Python), then run ./install.sh again."
}

# A path as the caller means it, who may stand in another folder.
from_caller() {
    case $1 in
        /* | [A-Za-z]:*) printf '%s' "$1" ;;
        *) printf '%s' "$caller/$1" ;;
    esac
}

find_python() {
    local candidate first='' without_venv='' advice
    advice="install one of Python 3.$OLDEST to 3.$NEWEST,"
    advice="$advice or name one: PYTHON=/path/to/python3.12 ./install.sh"
    if [ -n "${PYTHON:-}" ]; then
        python=$PYTHON
        case $python in */*) python=$(from_caller "$python") ;; esac
        fits "$python" && return 0
        case $reason in
            *'venv module') die "PYTHON is set, but $(no_venv_sentence "$reason")" ;;
        esac
        die "PYTHON is set, but $reason; unset it or name another one."
    fi
    # "python" is what the Windows installer calls it.
    for candidate in python3 python3.13 python3.12 python3.11 python3.10 python; do
        command -v "$candidate" >/dev/null 2>&1 || continue
        if fits "$candidate"; then
            python=$candidate
            return 0
        fi
        case $reason in
            *'venv module') without_venv=${without_venv:-$(no_venv_sentence "$reason")} ;;
            *'that runs') ;; # a leftover or a shop window, no Python
            *) first=${first:-$reason} ;;
        esac
    done
    # The missing module is the smaller repair, so it is said before a wrong version.
    [ -z "$without_venv" ] || die "$without_venv"
    [ -z "$first" ] || die "$first: $advice"
    die "No Python was found: $advice"
}

# ------------------------------------------------------------------ is .venv up to date

# What the content of .venv depends on, as one line. $1: the Python that .venv has or would have.
# Scripts in .venv name the project's folder, so a project that was moved needs a new .venv.
fingerprint() {
    "$1" -I -c '
import hashlib, platform, sys
digest = hashlib.sha256()
for part in sys.argv[1:] + [sys.implementation.cache_tag, sys.platform, platform.machine()]:
    digest.update(part.encode("utf-8", "surrogateescape") + b"\0")
for name in ("requirements.lock", "pyproject.toml"):
    with open(name, "rb") as file:
        digest.update(hashlib.sha256(file.read()).digest())
print(digest.hexdigest())
' "$SET_UP_VERSION" "$project" 2>/dev/null | tr -d '\r'
}

bin_dir() {
    if [ -d .venv/Scripts ]; then
        printf '%s' "$project/.venv/Scripts"
    else
        printf '%s' "$project/.venv/bin"
    fi
}

# absent, empty, foreign (not made here), unfinished or finished
state() {
    if [ ! -e "$1" ] && [ ! -L "$1" ]; then
        echo absent
    elif [ -f "$1/$STAMP" ]; then
        case $(cat "$1/$STAMP") in
            unfinished) echo unfinished ;;
            *) echo finished ;;
        esac
    elif [ -d "$1" ] && [ ! -L "$1" ] && [ -z "$(ls -A "$1")" ]; then
        echo empty
    else
        echo foreign
    fi
}

up_to_date() {
    local now
    [ "$(state .venv)" = finished ] || return 1
    now=$(fingerprint "$(bin_dir)/python") || return 1
    [ -n "$now" ] && [ "$now" = "$(cat ".venv/$STAMP")" ] || return 1
    # Whoever names another Python wants that one.
    [ -z "${PYTHON:-}" ] || [ "$now" = "$(fingerprint "$python")" ]
}

# ------------------------------------------------------------------ failing in one sentence

# The line of $1 that says most: the last one that is not empty, a hint or a mere warning.
last_line() {
    local line last=''
    while IFS= read -r line; do
        case $line in
            *WARNING:* | *warning:* | *'[notice]'* | *hint:* | *[Tt]raceback*) continue ;;
        esac
        line=${line#"${line%%[![:space:]]*}"}
        [ -z "$line" ] || last=$line
    done < <(printf '%s\n' "$1")
    printf '%s' "${last:0:200}"
}

# says PATTERN TEXT: does the text match, in any case?
says() {
    local rc=0
    shopt -s nocasematch
    [[ $2 =~ $1 ]] || rc=1
    shopt -u nocasematch
    return "$rc"
}

# explain WHAT EXIT_CODE TEXT: ends with the one sentence that fits what a command wrote.
explain() {
    local what=$1 rc=$2 text=$3 details='' last again='then run ./install.sh again'
    [ "$keep_log" = no ] || details=" (details: $log)"
    local full hashes certificate network no_build denied absent
    full='no space left|errno 28|os error (28|112|122)[^0-9]|not enough space|disk quota|disk full'
    hashes='not match the hash|hash mismatch'
    certificate='certificate_verify|certificate verify|invalid peer certificate|unknownissuer'
    network='newconnectionerror|connection (refused|reset|aborted)|timed out|connecttimeout'
    network="$network|name resolution|name or service not known|nodename nor servname|getaddrinfo"
    network="$network|failed to lookup address|dns error|network is unreachable|no route to host"
    network="$network|proxyerror|tcp connect error|error sending request|max retries exceeded"
    network="$network|request failed after|network connectivity"
    no_build='no wheels with a matching|source distribution or wheel for the current'
    denied='read-only file system|permission denied|access is denied|os error (13|30|5)[^0-9]'
    absent='no matching distribution|could not find a version|not found in the|no wheels with'
    if [ -n "$wheelhouse" ] && says "$absent" "$text"; then
        die "$wheelhouse lacks a package for Python $python_version on this machine: make it with" \
            "./install.sh --download on a machine of the same kind:" \
            "$(last_line "$text")$details"
    elif says "$full" "$text"; then
        die "The disk became full while $what: make room (set-up takes about $DISK_MB MB, in" \
            "$project and in the cache of uv), $again$details."
    elif says "$hashes" "$text"; then
        die "A downloaded package is not the one that requirements.lock names, so it was not" \
            "installed: try another network, $again; if it stays so, report it$details."
    elif says "$certificate" "$text"; then
        die "A certificate was refused while $what: if your organisation inspects traffic, set" \
            "PIP_CERT and SSL_CERT_FILE to its certificate file, $again$details."
    elif says "$network" "$text"; then
        die "No connection to the package index while $what: check the network (and the proxy," \
            "PIP_INDEX_URL or UV_DEFAULT_INDEX, if you use them), $again; without a network:" \
            "./install.sh --offline DIR$details."
    elif says "$no_build" "$text"; then
        die "A package has no build for this machine: the course needs 64-bit Linux (x86 or Arm)," \
            "64-bit Windows, or a Mac with Apple silicon and a Python made for it:" \
            "$(last_line "$text")$details"
    elif says 'ensurepip is not available|no module named .?(ensurepip|venv)' "$text"; then
        die "$(no_venv_sentence "$python (Python $python_version) lacks the venv module")"
    elif says "$denied" "$text"; then
        die "Writing was refused while $what ($(last_line "$text")): make $project writable for" \
            "you or copy the project to a folder of your own, $again$details."
    elif [ "$rc" -eq 137 ]; then
        die "The system ended the installer while $what, most likely for lack of memory: close" \
            "other programs, $again$details."
    fi
    last=$(last_line "$text")
    die "Set-up failed while $what: ${last:-it ended with exit code $rc}$details"
}

# try WHAT COMMAND...: a quick command that ends everything in one sentence when it fails.
try() {
    local what=$1 said rc=0
    shift
    said=$(LC_ALL=C "$@" 2>&1) || rc=$?
    [ "$rc" -eq 0 ] || explain "$what" "$rc" "$said"
}

write_line() { printf '%s\n' "$2" >"$1"; }

# ------------------------------------------------------------------ one run at a time

# Is the process $1 an install.sh? The same number may meanwhile belong to another program.
is_install() {
    local command
    kill -0 "$1" 2>/dev/null || ps -p "$1" >/dev/null 2>&1 || return 1
    command=$(ps -ww -p "$1" -o args= 2>/dev/null) || return 0 # Git Bash cannot say
    case $command in *install.sh*) return 0 ;; esac
    return 1
}

# Ends a step together with what it started. $1: its process group.
end_group() {
    local _
    kill -TERM -- "-$1" 2>/dev/null || return 0
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        kill -0 -- "-$1" 2>/dev/null || return 0
        sleep 0.1
    done
    kill -KILL -- "-$1" 2>/dev/null || return 0
}

# A run that was killed outright may have left its pip or uv at work in .venv.
end_leftover() {
    local group=$1 processes pgid command
    case $group in '' | *[!0-9]* | 0 | 1) return 0 ;; esac
    processes=$(ps -A -ww -o pgid= -o args= 2>/dev/null) || return 0
    while read -r pgid command; do
        [ "$pgid" = "$group" ] || continue
        # Only if it is ours: numbers are used again.
        case $command in *"$project/.venv"*) end_group "$group" && return 0 ;; esac
    done < <(printf '%s\n' "$processes")
}

lock() {
    local owner told=no tries=0 unowned=0 aside=.venv.trash.lock.$$ said
    while ! said=$(LC_ALL=C mkdir .venv.lock 2>&1); do
        [ -d .venv.lock ] || [ $((tries += 1)) -gt 3 ] || continue # it has just been released
        [ -d .venv.lock ] || explain "preparing the folder $project" 1 "$said"
        owner=$(cat .venv.lock/pid 2>/dev/null) || owner=''
        case $owner in *[!0-9]*) owner='' ;; esac
        if [ -z "$owner" ] && [ $((unowned += 1)) -lt 4 ]; then
            sleep 0.5 # it may be about to write its number
        elif [ -n "$owner" ] && is_install "$owner"; then
            if [ "$told" = no ]; then
                say "Another install.sh (process $owner) is setting up this folder; waiting for it."
                told=yes
            fi
            sleep 0.5
        elif mv .venv.lock "$aside" 2>/dev/null; then
            # Only one run can move it; it makes sure that it moved the lock that it had looked at.
            if [ "$(cat "$aside/pid" 2>/dev/null)" != "$owner" ]; then
                mv "$aside" .venv.lock 2>/dev/null || true
                continue
            fi
            end_leftover "$(cat "$aside/child" 2>/dev/null)"
            rm -rf "$aside"
        elif [ $((tries += 1)) -gt 3 ]; then
            die "The folder $project/.venv.lock is left over and cannot be removed: delete it," \
                "then run ./install.sh again."
        fi
    done
    locked=yes
    try "preparing the folder $project" write_line .venv.lock/pid "$$"
}

unlock() {
    [ "$locked" = yes ] || return 0
    locked=no
    discard .venv.lock
}

# ------------------------------------------------------------------ cleaning up

discard() {
    local trash=.venv.trash.$$
    rm -rf "$trash" 2>/dev/null || true
    mv "$1" "$trash" 2>/dev/null && rm -rf "$trash" 2>/dev/null || true
}

# Brings .venv back to what it was before an unfinished run. Only with the lock.
recover() {
    local trash
    for trash in .venv.trash.*; do
        [ ! -d "$trash" ] || rm -rf "$trash" 2>/dev/null || true
    done
    case $(state .venv) in
        unfinished) discard .venv ;;
        empty) rmdir .venv 2>/dev/null || true ;;
    esac
    [ "$(state .venv.old)" = finished ] || return 0
    case $(state .venv) in
        absent) mv .venv.old .venv ;;
        finished) discard .venv.old ;;
    esac
}

at_exit() {
    local rc=$1
    # Nothing may interrupt this; being killed outright is what recover() is for.
    trap '' INT TERM HUP
    trap - EXIT
    set +e
    [ -z "$child" ] || end_group "$child"
    [ "$building" = no ] || recover
    unlock
    if [ -n "$work" ]; then
        if [ "$keep_log" = yes ]; then
            rm -f "$work/uv.txt"
        else
            rm -rf "$work"
        fi
    fi
    exit "$rc"
}

interrupted() {
    keep_log=no
    say "install.sh: Interrupted; nothing half-made stays behind, so just run ./install.sh again."
    exit "$1"
}

# ------------------------------------------------------------------ setting up

# Shows what uv downloads as it goes, for whoever sits in front of it. $1: lines shown so far.
show_downloads() {
    local line number=0
    while IFS= read -r line; do
        number=$((number + 1))
        [ "$number" -gt "$1" ] || continue
        case $line in
            *Downloading\ * | *Downloaded\ *) say "      ${line# }" ;;
        esac
    done <"$log"
    shown=$number
}

# step WHAT COMMAND...: runs it in the background, since bash handles Ctrl-C only between commands
# or in "wait"; and in a process group of its own, so that its children can be ended with it.
step() {
    local what=$1 rc=0 shown=0
    shift
    keep_log=yes
    try "writing the log" touch "$log"
    set -m
    # It leaves its number for the case that this script is killed outright. In .venv everything is
    # compiled once now, whatever the caller wants for his own files.
    # shellcheck disable=SC2016 # the inner shell's own $$ and $@
    env -u PYTHONDONTWRITEBYTECODE sh -c 'echo "$$" >.venv.lock/child && exec "$@"' sh "$@" \
        >"$log" 2>&1 </dev/null &
    child=$!
    set +m
    if [ -t 2 ]; then
        while kill -0 "$child" 2>/dev/null; do
            sleep 1
            show_downloads "$shown"
        done
    fi
    wait "$child" 2>/dev/null || rc=$?
    child=''
    [ "$rc" -eq 0 ] || explain "$what" "$rc" "$(tr -d '\r' <"$log")"
    keep_log=no
}

# Whoever has told pip about a mirror or a certificate need not tell uv again.
share_pip_settings() {
    local url cert own=${XDG_CONFIG_HOME:-${HOME:-}/.config}/uv/uv.toml
    if [ -z "${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-}${UV_CONFIG_FILE:-}" ] && [ ! -f "$own" ]; then
        url=${PIP_INDEX_URL:-$("$1" -I -m pip config get global.index-url 2>/dev/null || true)}
        [ -z "$url" ] || export UV_DEFAULT_INDEX="${url%$'\r'}"
    fi
    if [ -z "${SSL_CERT_FILE:-}" ]; then
        cert=${PIP_CERT:-$("$1" -I -m pip config get global.cert 2>/dev/null || true)}
        [ ! -f "${cert%$'\r'}" ] || export SSL_CERT_FILE="${cert%$'\r'}"
    fi
}

build() {
    local bin now free little='downloads about 20 MB'
    local much="downloads about $DOWNLOAD_MB MB once; this takes some minutes"
    say "Setting up the course in $project/.venv with Python $python_version ($python)."
    free=$(df -Pk . 2>/dev/null | awk 'NR == 2 { print int($4 / 1024) }') || free=''
    if [ -n "$free" ] && [ "$free" -lt "$DISK_MB" ]; then
        say "Note: $free MB are free here; a first set-up takes about $DISK_MB MB."
    fi

    building=yes
    [ "$(state .venv)" = absent ] || try "keeping the old .venv" mv .venv .venv.old
    try "preparing .venv" mkdir .venv.lock/new
    try "preparing .venv" write_line ".venv.lock/new/$STAMP" unfinished
    try "preparing .venv" mv .venv.lock/new .venv

    say "1/3  a virtual environment"
    step "making the virtual environment" "$python" -I -m venv "$project/.venv"
    bin=$(bin_dir)

    if [ -n "$wheelhouse" ]; then
        little="from $wheelhouse" much='from there; this takes some minutes'
        set -- --no-index --find-links "$wheelhouse"
    else
        set --
    fi

    say "2/3  uv, which installs the rest ($little)"
    awk '{ sub(/\r$/, "") } /^uv==/ { on = 1 } on { print } on && !/\\$/ { exit }' \
        requirements.lock >"$work/uv.txt"
    [ -s "$work/uv.txt" ] || die "requirements.lock names no version of uv: restore that file."
    # PIP_USER: a user's setting that cannot apply inside a virtual environment.
    step "downloading uv" env PIP_USER=0 PIP_RETRIES="${PIP_RETRIES:-2}" \
        "$bin/python" -I -m pip install --quiet --disable-pip-version-check --no-input \
        --require-hashes --no-deps --only-binary :all: -r "$work/uv.txt" "$@"

    say "3/3  TensorFlow, JupyterLab and the rest ($much)"
    if [ -n "$wheelhouse" ]; then
        set -- "$@" --offline
    else
        share_pip_settings "$bin/python"
    fi
    # A crowded classroom network is slow; the default timeout is short. And where the user's UV_
    # settings name another Python, this one is meant all the same.
    export UV_HTTP_TIMEOUT="${UV_HTTP_TIMEOUT:-120}"
    unset UV_SYSTEM_PYTHON UV_PYTHON UV_BREAK_SYSTEM_PACKAGES
    step "downloading and installing the packages" "$bin/uv" pip install --color never \
        --python "$bin/python" --require-hashes -r requirements.lock --compile-bytecode "$@"
    step "installing workshop_utils" "$bin/uv" pip install --color never \
        --python "$bin/python" --no-deps --no-build-isolation "$@" -e .
    if [ -d notebooks ]; then
        # What "workshop reset" puts back where there is no git.
        try "keeping a copy of the notebooks" mkdir .venv/pristine
        try "keeping a copy of the notebooks" cp notebooks/*.ipynb .venv/pristine
    fi

    now=$(fingerprint "$bin/python") || now=''
    [ -n "$now" ] || die "The new .venv does not work: $bin/python cannot be run."
    try "finishing .venv" write_line ".venv/$STAMP.new" "$now"
    try "finishing .venv" mv ".venv/$STAMP.new" ".venv/$STAMP"
    building=no
    recover # which removes .venv.old now
}

set_up() {
    local temporary=${TMPDIR:-/tmp}
    [ -n "$python" ] || find_python
    trap 'at_exit $?' EXIT
    trap 'interrupted 130' INT
    trap 'interrupted 143' TERM
    trap 'interrupted 129' HUP
    work=$(mktemp -d "${temporary%/}/workshop-install.XXXXXX" 2>/dev/null) ||
        die "No temporary folder can be made in $temporary: make room there or set TMPDIR to" \
            "another folder, then run ./install.sh again."
    log=$work/install.log
    lock
    recover
    if [ "$(state .venv)" = foreign ]; then
        die "The folder $project/.venv was not made by install.sh, so it is left alone: rename or" \
            "delete it, then run ./install.sh again."
    elif [ "$(state .venv.old)" != absent ]; then
        die "The folder $project/.venv.old is in the way: rename or delete it, then run" \
            "./install.sh again."
    fi
    # The run that this one waited for may have done it all.
    up_to_date || build
    unlock
    rm -rf "$work"
    work=''
    trap - EXIT INT TERM HUP
}

# ------------------------------------------------------------------ what was asked for

start() {
    local mode=$1 bin
    shift
    bin=$(bin_dir)
    # As if activated, so that "!workshop" in a notebook finds the course's own.
    export VIRTUAL_ENV="$project/.venv" PATH="$bin:$PATH"
    unset PYTHONHOME
    case $mode in
        --run)
            cd -- "$caller" # where a relative --output is meant
            exec "$bin/workshop" run "$@"
            ;;
        # Two processes at a time, a file of tests each: hardly a test keeps two cores busy.
        --test) exec "$bin/python" -m pytest -n 2 --dist loadfile --no-loadscope-reorder "$@" ;;
        --download)
            # uv made the lock and does without the upper bounds of "Requires-Python"; so must pip.
            PIP_USER=0 "$bin/python" -I -m pip download --disable-pip-version-check --no-input \
                --require-hashes --no-deps --only-binary :all: --ignore-requires-python \
                -r requirements.lock -d "$1" ||
                die "The packages in $1 are not complete (see above): run this again to go on."
            echo "All packages for machines like this one are in $1. There, next:"
            echo "  ./install.sh --offline DIR    where DIR is a copy of that folder"
            ;;
        --lab) exec "$bin/python" -m jupyterlab --ServerApp.root_dir=. notebooks/01_setup.ipynb "$@" ;;
    esac
}

main() {
    local mode=${1:-} file
    case $mode in
        '' | --run | --test | --lab | --download | --offline) ;;
        -h | --help)
            usage
            exit 0
            ;;
        *)
            say "install.sh: Unknown option '$mode'; ./install.sh --help lists what there is."
            exit 2
            ;;
    esac
    [ $# -eq 0 ] || shift
    caller=$PWD
    project=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
    cd -- "$project"
    case $mode in
        --download) set -- "$(from_caller "${1:-$project/wheelhouse}")" ;;
        --offline)
            wheelhouse=$(from_caller "${1:-$project/wheelhouse}")
            mode=''
            for file in "$wheelhouse"/uv-*.whl; do
                [ -f "$file" ] || die "There are no packages in $wheelhouse: name the folder that" \
                    "./install.sh --download has made on a machine like this one."
            done
            ;;
    esac
    for file in pyproject.toml requirements.lock; do
        [ -f "$file" ] || die "$project/$file is missing: get a complete copy of the project."
    done
    [ -z "${PYTHON:-}" ] || find_python

    if up_to_date; then
        [ -n "$mode" ] || echo "Ready; nothing has changed. Next: ./install.sh --lab or --run"
    else
        set_up
        if [ -z "$mode" ]; then
            echo "Ready. Next:"
            echo "  ./install.sh --lab    opens the course in the browser"
            echo "  ./install.sh --run    runs all of it without one"
        fi
    fi
    [ -z "$mode" ] || start "$mode" "$@"
}

main "$@"
