"""A spawner that runs each attendee's server under a user id of its own. The hub must be root.

For machines without systemd, such as containers. No account is made: the ids are numbers that no
account has, and an attendee's id is that of the home folder, which nobody else may enter.
"""

import os
import pwd
import resource
from pathlib import Path

from jupyterhub.spawner import SimpleLocalProcessSpawner
from traitlets import Int, default


class OwnUidSpawner(SimpleLocalProcessSpawner):
    """As SimpleLocalProcessSpawner, which it extends, but attendees cannot reach one another."""

    first_uid = Int(20_000, help="Attendees get ids from this one on.").tag(config=True)
    processes = Int(1000, help="Processes and threads of an attendee at most.").tag(config=True)
    uid = Int(help="The attendee's user id and group id.")

    @default("uid")
    def _default_uid(self):
        return claim_home(Path(self.home_dir), self.first_uid)

    def make_preexec_fn(self, name):
        """What the child process does before it becomes the attendee's server."""
        uid, home, processes = self.uid, self.home_dir, self.processes

        def become_the_attendee():
            # The system counts all that the user id has, whatever started it.
            resource.setrlimit(resource.RLIMIT_NPROC, (processes, processes))
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            os.chdir(home)

        return become_the_attendee


def claim_home(home, first_uid):
    """The user id that owns the folder `home`; made with the next free id if it is not there.

    Raises RuntimeError if it is there and is not an attendee's.
    """
    home.parent.mkdir(parents=True, exist_ok=True)
    if not home.is_symlink() and not home.exists():
        taken = {path.lstat().st_uid for path in home.parent.iterdir()}
        taken |= {account.pw_uid for account in pwd.getpwall()}
        uid = max([first_uid - 1, *(uid for uid in taken if uid >= first_uid and uid < 60_000)]) + 1
        temporary = home.with_name(f".{home.name}.new")
        temporary.mkdir(mode=0o700, exist_ok=True)
        os.chown(temporary, uid, uid)
        temporary.rename(home)
    status = home.lstat()
    if home.is_symlink() or status.st_uid < first_uid:
        raise RuntimeError(f"{home} is no attendee's home: it belongs to user {status.st_uid}.")
    home.chmod(0o700)
    return status.st_uid
