"""Starts an attendee's server: the hub calls this instead of jupyterhub-singleuser.

It runs as the attendee, whatever the spawner: what the hub itself wrote into a folder that an
attendee can change, it would write with the hub's rights to wherever a link there points.

First the course is copied into the attendee's home: a file that is missing or that the attendee
has left as it was is brought up to date; a file that the attendee has changed stays.
"""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

COURSE = Path(__file__).resolve().parents[1]
FOLDERS = ("notebooks", "workshop_utils", "firmware")
MADE_BY_RUNS = ("__pycache__", ".ipynb_checkpoints", "firmware/build", "firmware/images")
MODEL_OF_A_RUN = "firmware/model/model.cc"
RECORD = ".copied.json"  # what was copied: {file: SHA-256}


def copy_course(source, target):
    """Copy the course's files from `source` to `target`; leave alone what was changed there.

    Both are Paths of folders. Returns {file: 'copied', 'updated' or 'kept'}; files that are the
    same in both are not in it. A file that cannot be written keeps its old content, and OSError
    is raised at the end.
    """
    record = _read(target / RECORD)
    result, failure = {}, None
    for name in _files(source):
        ours, theirs = source / name, target / name
        new = _digest(ours)
        old = _digest(theirs) if theirs.is_file() else None
        try:
            if old is None:
                result[name] = "copied"
                _copy(ours, theirs)
            elif old != new and old == record.get(name):
                result[name] = "updated"
                _copy(ours, theirs)
            elif old != new:
                result[name] = "kept"
                continue
        except OSError as error:
            failure = error
            continue
        record[name] = new
    temporary = target / (RECORD + ".new")
    temporary.write_text(json.dumps(record, indent=0, sort_keys=True), encoding="utf-8")
    temporary.replace(target / RECORD)
    if failure:
        raise failure
    return result


def _files(source):
    for folder in FOLDERS:
        for path in sorted((source / folder).rglob("*")):
            name = path.relative_to(source).as_posix()
            made = name == MODEL_OF_A_RUN or any(f"/{part}/" in f"/{name}" for part in MADE_BY_RUNS)
            if path.is_file() and not made:
                yield name


def _copy(ours, theirs):
    theirs.parent.mkdir(parents=True, exist_ok=True)
    temporary = theirs.with_name(f".{theirs.name}.new")
    shutil.copyfile(ours, temporary)
    temporary.replace(theirs)


def _digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _read(record):
    try:
        content = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def guard_memory(server, limit):
    """End a process that `server` has started whenever all of them together take more.

    It is the one whose end gives back most. server: process id; limit: bytes of memory, with what
    processes share counted once. This is what can be done where the system
    does not enforce a limit: it looks once a second, and helps against accidents, not against
    somebody who means to get around it. A limit on address space (setrlimit) would not do, since
    the emulator of notebook 06 reserves gigabytes that it never touches.
    Returns when the server has ended.
    """
    while server in (taken := {pid: _resident(pid) for pid in _family(server)}):
        if sum(taken.values()) > limit:  # by a count that is quick and takes what is shared twice
            taken = {pid: _memory(pid, "Pss:") for pid in taken}
        if sum(taken.values()) > limit:
            largest = max(taken, key=lambda pid: _memory(pid, "Private_") if pid != server else -1)
            if largest != server:
                print(f"Process {largest} ended: more than {limit >> 20} MB.", file=sys.stderr)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(largest, signal.SIGKILL)
        time.sleep(1)


def _family(process):
    """A process and its descendants, as Linux lists them; nothing if it has ended."""
    if _resident(process):
        yield process
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in children.read_text().split():
                yield from _family(int(child))


def _resident(process):
    """Bytes of a process in memory; 0 if it has ended."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf(
            "SC_PAGESIZE"
        )
    except OSError:
        return 0


def _memory(process, kind):
    """Bytes of a process as Linux counts them, the lines that begin with `kind` together.

    'Pss:': what it shares is divided among those who share it. 'Private_': what it does not share.
    """
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has ended
        return 0
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith(kind))


def main(arguments):
    """Prepare the home folder and become the server; a child keeps watch over its memory."""
    os.umask(0o077)
    course = Path.home() / "course"
    course.mkdir(exist_ok=True)
    try:
        copy_course(COURSE, course)
    except OSError as error:  # a full disk: the attendee should still be able to make room
        print(f"The course could not be copied to {course}: {error.strerror}.", file=sys.stderr)
    # The attendee's copy of workshop_utils wins, and with it that of the firmware.
    os.environ["PYTHONPATH"] = str(course)
    with contextlib.suppress(OSError):  # when memory runs out, this goes before the hub does
        Path("/proc/self/oom_score_adj").write_text("500")
    if os.environ.get("WORKSHOP_GUARD") and os.environ.get("MEM_LIMIT") and os.fork() == 0:
        guard_memory(os.getppid(), int(os.environ["MEM_LIMIT"]))
        return
    os.chdir(course)
    os.execv(sys.executable, [sys.executable, "-m", "jupyterhub.singleuser", *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
