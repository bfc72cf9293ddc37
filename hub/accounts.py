"""Accounts with passwords of their own: NativeAuthenticator 1.3.0 without what a class would miss.

- What an admin does to an account takes a form with a token: a link or a picture on somebody's page
  cannot do it for him.
- A password may be longer than the 72 bytes that bcrypt reads.
- Wrong passwords lock nobody out who comes from another address. They put the address that they
  come from into a slow lane for that account, where the right password still works.
"""

import asyncio
import base64
import hashlib
import time
from pathlib import Path

import nativeauthenticator
from nativeauthenticator import NativeAuthenticator, handlers
from nativeauthenticator.orm import UserInfo
from tornado import web
from traitlets import Float, Integer

# The first one has the form for admins, and takes precedence.
TEMPLATES = [
    str(Path(__file__).resolve().parent / "templates"),
    str(Path(nativeauthenticator.__file__).parent / "templates"),
]
BCRYPT_BYTES = 72


def shortened(password):
    """What bcrypt is given of a password: a digest of one that is too long for it."""
    if len(password.encode()) <= BCRYPT_BYTES:
        return password
    return base64.b64encode(hashlib.sha256(password.encode()).digest()).decode()


def _accept_any_length():
    """Let NativeAuthenticator compare what `shortened` gives: its pages ask its own class."""
    compare = UserInfo.is_valid_password
    UserInfo.is_valid_password = lambda self, password: compare(self, shortened(password))


_accept_any_length()


class SlowLane:
    """Where password after password is tried for one account: one at a time, with pauses."""

    def __init__(self):
        self.failed, self.waiting, self.used = 0, 0, time.monotonic()
        self.turn = asyncio.Lock()


class AccountsOfAClass(NativeAuthenticator):
    """NativeAuthenticator, which it extends, as the module says."""

    failures_before_pauses = Integer(
        5, help="So many wrong passwords for an account from one address cost no time."
    ).tag(config=True)
    pause_seconds = Float(2, help="How long each further attempt takes.").tag(config=True)
    most_waiting = Integer(20, help="More attempts at a time are refused.").tag(config=True)

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._lanes = {}  # (name, address): SlowLane

    async def authenticate(self, handler, data):
        """The name of the account that name and password belong to, or None."""
        name = self.normalize_username(data.get("username", ""))
        if not self.user_exists(name):
            return None
        now, place = time.monotonic(), (name, handler.request.remote_ip)
        lane = self._lanes.setdefault(place, SlowLane())
        lane.used = now
        if lane.failed >= self.failures_before_pauses:
            if lane.waiting >= self.most_waiting:
                raise web.HTTPError(429, "Too many attempts at a time. Please try again later.")
            lane.waiting += 1
            try:
                async with lane.turn:
                    await asyncio.sleep(self.pause_seconds)
            finally:
                lane.waiting -= 1
        found = await super().authenticate(handler, data)
        lane.failed = 0 if found else lane.failed + 1
        for old in [at for at, other in self._lanes.items() if now - other.used > 3600]:
            del self._lanes[old]
        return found

    def create_user(self, username, password, **kwargs):
        return super().create_user(username, shortened(password), **kwargs)

    def change_password(self, username, new_password):
        return super().change_password(username, shortened(new_password))

    def get_handlers(self, app):
        by_form = {
            handlers.ToggleAuthorizationHandler: Authorize,
            handlers.DiscardHandler: Discard,
        }
        return [(path, by_form.get(one, one)) for path, one in super().get_handlers(app)]


def only_by_form(handler):
    """A handler like this one, whose action takes a POST: JupyterHub asks that for its token."""

    class ByForm(handler):
        post = handler.get

        async def get(self, name):
            raise web.HTTPError(405, "This takes the form at /hub/authorize.")

    return ByForm


Authorize = only_by_form(handlers.ToggleAuthorizationHandler)
Discard = only_by_form(handlers.DiscardHandler)
