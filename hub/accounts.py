"""Accounts with passwords of their own: NativeAuthenticator 1.3.0 without what a class would miss.

- What an admin does to an account takes a form with a token: a link or a picture on somebody's page
  cannot do it for him.
- A password may be longer than the 72 bytes that bcrypt reads.
- Wrong passwords lock nobody out, and nobody waits behind somebody else's. For one account from one
  address they cost a fixed pause, and one is compared at a time. A browser in which the account was
  logged in before is a place of its own (OWASP: device cookies), wherever others try from.
"""

import asyncio
import base64
import hashlib
import hmac
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import bcrypt
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


class Place:
    """Where attempts for one account come from: an address, or a browser that is known."""

    def __init__(self):
        self.tried, self.used = 0, time.monotonic()
        self.turn = asyncio.Lock()


class AccountsOfAClass(NativeAuthenticator):
    """NativeAuthenticator, which it extends, as the module says."""

    free_attempts = Integer(
        5, help="So many attempts for an account from one place cost no time."
    ).tag(config=True)
    pause_seconds = Float(2, help="What each further one costs, others or not.").tag(config=True)

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._places = {}  # (name, address or browser): Place
        # Not in the thread of the hub, which bcrypt would stop; one per place waits here at most.
        self._comparing = ThreadPoolExecutor(1)

    async def authenticate(self, handler, data):
        """The name of the account that name and password belong to, or None."""
        name = self.normalize_username(data.get("username", ""))
        user = self.get_user(name)
        if user is None:
            return None
        cookie = f"workshop-known-{name}"
        browser = handler.get_signed_cookie(cookie)
        place = self._place(name, browser or handler.request.remote_ip)
        place.tried += 1
        if place.tried > self.free_attempts:
            await asyncio.sleep(self.pause_seconds)
        password = shortened(data.get("password", "")).encode()
        async with place.turn:
            digest = await asyncio.get_running_loop().run_in_executor(
                self._comparing, bcrypt.hashpw, password, user.password
            )
        valid = [hmac.compare_digest(digest, user.password), user.is_authorized]
        handler.waits_for_an_admin = valid == [True, False]
        if user.has_2fa:
            valid.append(user.is_valid_token(data.get("2fa")))
        if not all(valid):
            return None
        place.tried = 0
        handler.set_signed_cookie(
            cookie,
            browser or secrets.token_hex(),
            path=handler.hub.base_url,
            secure=handler.request.protocol == "https",
            httponly=True,
            samesite="Lax",
        )
        return name

    def _place(self, name, where):
        now = time.monotonic()
        for old in [at for at, place in self._places.items() if now - place.used > 3600]:
            del self._places[old]
        place = self._places.setdefault((name, where), Place())
        place.used = now
        return place

    def create_user(self, username, password, **kwargs):
        return super().create_user(username, shortened(password), **kwargs)

    def change_password(self, username, new_password):
        return super().change_password(username, shortened(new_password))

    def get_handlers(self, app):
        ours = {
            handlers.LoginHandler: Login,
            handlers.ToggleAuthorizationHandler: Authorize,
            handlers.DiscardHandler: Discard,
        }
        return [(path, ours.get(one, one)) for path, one in super().get_handlers(app)]


class Login(handlers.LoginHandler):
    """Does not compare a wrong password once more, in the thread of the hub."""

    waits_for_an_admin = False
    # A refused form, such as one that is an hour old, gets a page that says so. JupyterHub would
    # say it in the form, with arguments that NativeAuthenticator's does not take.
    render_template = handlers.LocalBase.render_template

    async def post(self):
        data = {name: self.get_argument(name, strip=False) for name in self.request.arguments}
        user = await self.login_user(data)
        if user:
            self._jupyterhub_user = user  # for the log
            self.redirect(self.get_next_url(user))
            return
        name, error = data.get("username", ""), "Invalid username or password."
        if self.waits_for_an_admin:
            error = f"User {name} has not been authorized by an administrator yet."
        self.finish(await self._render(login_error=error, username=name))


def only_by_form(handler):
    """A handler like this one, whose action takes a POST: JupyterHub asks that for its token."""

    class ByForm(handler):
        post = handler.get

        async def get(self, name):
            raise web.HTTPError(405, "This takes the form at /hub/authorize.")

    return ByForm


Authorize = only_by_form(handlers.ToggleAuthorizationHandler)
Discard = only_by_form(handlers.DiscardHandler)
