"""Starts an attendee's server: the hub calls this instead of jupyterhub-singleuser.

It runs as the attendee, whatever the spawner: what the hub itself wrote into a folder that an
attendee can change, it would write with the hub's rights to wherever a link there points.

First the course is copied into the attendee's home: a file that is missing or that the attendee
has left as it was is brought up to date; a file that the attendee has changed stays.
"""

import hashlib
import json
import os
import shutil
import sys
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


def limit_memory(size):
    """Let no process of this server have more than `size` bytes of data of its own.

    This is what an ordinary process can do: each of an attendee's processes gets the limit, not
    all of them together. What counts is private writable memory, touched or not.
    """
    import resource

    resource.setrlimit(resource.RLIMIT_DATA, (size, size))


def main(arguments):
    """Prepare the home folder and become the server. Never returns."""
    os.umask(0o077)
    course = Path.home() / "course"
    course.mkdir(exist_ok=True)
    try:
        copy_course(COURSE, course)
    except OSError as error:  # a full disk: the attendee should still be able to make room
        print(f"The course could not be copied to {course}: {error.strerror}.", file=sys.stderr)
    # The attendee's copy of workshop_utils wins, and with it that of the firmware.
    os.environ["PYTHONPATH"] = str(course)
    if os.environ.get("WORKSHOP_LIMIT_PROCESSES") and os.environ.get("MEM_LIMIT"):
        limit_memory(int(os.environ["MEM_LIMIT"]))
    os.chdir(course)
    os.execv(sys.executable, [sys.executable, "-m", "jupyterhub.singleuser", *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
