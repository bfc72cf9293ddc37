"""Commands where things are not as they should be: few variables, no network, other mounts."""

import os
import shutil
import subprocess

from patience import HUNG

from workshop_utils import paths


def environment(home, **more):
    """What a command gets and nothing else: no HOME, no locale."""
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(paths.PROJECT),
            "WORKSHOP_HOME": str(home), **more}  # fmt: skip


def call(command, home, **options):
    """Run it there; env: more variables."""
    more = options.pop("env", {})
    return subprocess.run(
        [str(word) for word in command],
        env=environment(home, **more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=HUNG,
        **options,
    )


def apart(script, *words, home, isolated="--mount", **options):
    """Run a shell script with mounts (or else) of its own. None if this user may not."""
    unshare = shutil.which("unshare")
    if not unshare:
        return None
    isolate = [unshare, "--user", "--map-root-user", isolated]
    result = call([*isolate, shutil.which("sh"), "-c", script, "sh", *words], home, **options)
    return None if result.returncode == 99 or "unshare" in result.stderr else result
