"""The hub for a class: started for real, with attendees who log in, work, and pry.

What needs the hub is skipped without JupyterHub and its proxy (hub/install.sh; HUB_ENV names the
folder if it is not hub/). As root the attendees' servers run as users of their own, and the proof
is that what one attendee's kernel can reach is not another's.
"""

import asyncio
import errno
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from datetime import datetime, timezone
from pathlib import Path

import httpx
import psutil
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from patience import HUNG
from pins import pin, read, read_lock
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

import hub as simulated
from workshop_utils import paths

sys.path.append(str(paths.PROJECT / "hub"))
from attendee import copy_course, guard_memory

HUB = paths.PROJECT / "hub"
NOTEBOOK = "notebooks/02_dataset.ipynb"
ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
PROCESSES = "250"  # so many that the tests' own kernels have enough
STRANGER = 31_000  # a user id that no account has
AS_STRANGER = ("setpriv", f"--reuid={STRANGER}", f"--regid={STRANGER}", "--clear-groups")

needs_hub = pytest.mark.skipif(
    not simulated.hub_command(),
    reason="needs JupyterHub and its proxy: run hub/install.sh, or set HUB_ENV",
)
as_root = pytest.mark.skipif(not ROOT, reason="only root can run servers as users of their own")


def others_can_run(program):
    # By way of a shell, since setpriv itself starts a program with root's reach.
    command = [*AS_STRANGER, "sh", "-c", 'exec "$0" -c "import ipykernel"', program]
    return subprocess.run(command, capture_output=True).returncode == 0


@pytest.fixture(scope="module")
def kernel_python():
    """The Python for the attendees' kernels: the course's, or else the hub's own."""
    if not ROOT:
        return sys.executable
    if not shutil.which("setpriv"):
        pytest.skip("no setpriv here")
    hub = Path(simulated.hub_command()).parent / "python"
    for python in (sys.executable, str(hub)):
        if others_can_run(python):
            break
    else:
        pytest.skip("only root can reach the Python here; a class needs one that all may run")
    if not others_can_run(str(hub)):
        pytest.skip("only root can reach JupyterHub here; a class needs one that all may run")
    return python


@pytest.fixture(scope="module")
def open_folder():
    """A temporary folder that everybody may pass; pytest's own is closed to other users."""
    with tempfile.TemporaryDirectory(prefix="hub-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


@pytest.fixture(scope="module")
def course(open_folder):
    """A copy of the course, as an instructor has it on the server."""
    copy = open_folder / "course"
    ignored = shutil.ignore_patterns(
        "build", "images", "__pycache__", "node_modules", ".venv", "state"
    )
    for folder in ("notebooks", "workshop_utils", "firmware", "hub"):
        shutil.copytree(paths.PROJECT / folder, copy / folder, ignore=ignored)
    return copy


PASSWORD = "a long enough password"


def client(**options):
    return httpx.AsyncClient(timeout=HUNG, verify=simulated.TLS, **options)


async def sign_up(url, name, password):
    async with client(follow_redirects=True) as browser:
        await browser.get(f"{url}/hub/signup")
        xsrf = next(cookie.value for cookie in browser.cookies.jar if cookie.name == "_xsrf")
        form = {"username": name, "signup_password": password,
                "signup_password_confirmation": password, "_xsrf": xsrf}  # fmt: skip
        return await browser.post(f"{url}/hub/signup", data=form)


async def authorize(instructor, name, **form):
    """What the button on the page for admins sends."""
    form = form or {"_xsrf": instructor.xsrf("/hub/")}
    answer = await instructor.browser.post(f"{instructor.url}/hub/authorize/{name}", data=form)
    assert answer.status_code == 200
    return answer


# bcrypt takes a third of a second per password, and there are many: here as little as it can. While
# there is a file of this name, it takes longer, but leaves the processor to others, and the file
# gets the names of the threads. Attendees' Pythons, which find this too, have no HUB_STATE.
COMPARED = "compared"
CHEAP = f"""
import os
if "HUB_STATE" in os.environ:
    import bcrypt, pathlib, threading, time
    salt, usual = bcrypt.gensalt, bcrypt.hashpw
    place = pathlib.Path(__file__).with_name({COMPARED!r})

    def slowly(*words):
        if place.exists():
            with place.open("a") as file:
                file.write(threading.current_thread().name + "\\n")
            time.sleep(0.5)
        return usual(*words)

    bcrypt.gensalt, bcrypt.hashpw = lambda: salt(4), slowly
"""


@pytest.fixture(scope="module")
def url(course, open_folder, kernel_python):
    """A hub for a class, with less than is allowed out of the box; as root, a user id for each.

    Of the accounts, `instructor` is the admin's, `anna` and `ben` may log in, and `mia` waits.
    """
    state = open_folder / "state"
    state.mkdir()
    (state / "sitecustomize.py").write_text(CHEAP)
    settings = {"HUB_COURSE_PYTHON": kernel_python, "HUB_MEMORY": "1G", "HUB_PROCESSES": PROCESSES}
    settings |= {"HUB_TRIAL_PASSWORD": "", "PYTHONPATH": str(state)}

    async def fill(url):
        for name in ("instructor", "anna", "ben", "mia"):
            assert (await sign_up(url, name, PASSWORD)).status_code == 200
        async with simulated.Attendee(url, "instructor", PASSWORD) as instructor:
            for name in ("anna", "ben"):
                await authorize(instructor, name)

    with simulated.running_hub(course, state, **settings) as url:
        asyncio.run(fill(url))
        yield url


def home(open_folder, name):
    return open_folder / "state" / "homes" / name


async def run(attendee, code):
    async with attendee.kernel(NOTEBOOK) as kernel:
        return (await kernel.execute(code))[0].strip()


def together(function):
    """Runs a coroutine test with two attendees whose servers are running."""

    async def with_both(url, **fixtures):
        async with (
            simulated.Attendee(url, "anna", PASSWORD) as anna,
            simulated.Attendee(url, "ben", PASSWORD) as ben,
        ):
            await asyncio.gather(anna.start(), ben.start())
            await function(anna, ben, **fixtures)

    return with_both


# ---------------------------------------------------------------------- a class at work


@needs_hub
def test_attendees_get_the_course_and_run_a_cell(url, open_folder, kernel_python):
    code = (
        "import os, sys; from workshop_utils import paths;"
        "print(sys.executable, os.getuid(), paths.PROJECT, paths.MODELS_DIR, sep='\\n')"
    )

    @together
    async def check(anna, ben):
        listing = await anna.api("GET", "contents/notebooks")
        names = {entry["name"] for entry in listing["content"]}
        assert names >= {path.name for path in paths.NOTEBOOKS_DIR.glob("0*.ipynb")}
        users = set()
        for one in (anna, ben):
            program, user, project, models = (await run(one, code)).splitlines()
            assert program == kernel_python
            assert Path(project) == home(open_folder, one.name) / "course"
            assert Path(models).parent == Path(project)
            users.add(int(user))
        if ROOT:
            assert len(users) == 2 and 0 not in users
        else:
            assert users == {os.getuid()}

    asyncio.run(check(url))


@needs_hub
def test_a_second_login_finds_what_was_changed_and_gets_what_is_new(url, course, open_folder):
    mine, other = "notebooks/03_small_model.ipynb", "notebooks/04_larger_model.ipynb"

    @together
    async def check(anna, _):
        work = {"type": "file", "format": "text", "content": "my work"}
        await anna.api("PUT", f"contents/{mine}", json=work)
        await anna.stop()
        new = {}
        for name in (mine, other):
            notebook = json.loads((course / name).read_text())
            notebook["metadata"]["edition"] = 2
            (course / name).write_text(json.dumps(notebook))
            new[name] = (course / name).read_text()
        async with simulated.Attendee(url, "anna", PASSWORD) as again:
            await again.start()
            answer = await again.api("GET", f"contents/{mine}?type=file&format=text")
            assert answer["content"] == "my work"
            answer = await again.api("GET", f"contents/{other}?type=file&format=text")
            assert answer["content"] == new[other]

    asyncio.run(check(url))


# ---------------------------------------------------------------------- attendees who pry


@needs_hub
def test_nobody_reaches_another_server_over_http(url):
    async def status(attendee, path, method="GET"):
        """What the address says to the attendee's token, and to the attendee's browser."""
        by_token = await attendee.call(method, path)
        # As the browser has it after a visit to the attendee's own server.
        await attendee.browser.get(f"{attendee.home}/api/status")
        header = {"X-XSRFToken": attendee.xsrf("/hub/")}
        by_cookie = await attendee.browser.request(method, path, headers=header)
        return by_token.status_code, by_cookie.status_code

    @together
    async def check(anna, ben):
        async with ben.kernel(NOTEBOOK) as kernel:
            addresses = ["api/contents", "api/kernels", f"api/kernels/{kernel.id}", "api/terminals",
                         "files/notebooks/02_dataset.ipynb", "lab"]  # fmt: skip
            for address in addresses[:-1]:
                assert (await ben.call("GET", f"{ben.home}/{address}")).status_code == 200
            for address in addresses:
                codes = await status(anna, f"{ben.home}/{address}")
                assert set(codes) <= {401, 403, 404}, (address, codes)
            for address in (f"api/kernels/{kernel.id}/interrupt", "api/terminals"):
                codes = await status(anna, f"{ben.home}/{address}", "POST")
                assert set(codes) <= {401, 403, 404}, (address, codes)
            socket = f"{ben.home}/api/kernels/{kernel.id}/channels".replace("http", "ws", 1)
            with pytest.raises(HTTPClientError, match="403"):
                await websocket_connect(HTTPRequest(socket, headers=anna.headers))
            (await websocket_connect(HTTPRequest(socket, headers=ben.headers))).close()
        for name in ("", "/server", "/tokens"):
            answer = await anna.call("GET", f"{url}/hub/api/users/ben{name}")
            assert answer.status_code in (403, 404, 405), name
        assert (await anna.call("DELETE", f"{url}/hub/api/users/ben/server")).status_code == 404
        assert await ben.is_running()
        assert (await anna.call("GET", f"{url}/hub/api/users")).status_code == 403
        async with client() as nobody:
            assert (await nobody.get(f"{ben.home}/api/contents")).status_code == 403

    asyncio.run(check(url))


PRY = """
import os, pathlib

def attempt(what, action):
    try:
        action()
        print(what, "worked")
    except PermissionError:
        print(what, "refused")

secret = pathlib.Path({secret!r})
server = {server}
attempt("own", lambda: os.listdir(pathlib.Path.home()))
attempt("list", lambda: os.listdir(secret.parents[1]))
attempt("read", secret.read_text)
attempt("write", lambda: secret.write_text("of somebody else"))
attempt("homes", lambda: os.listdir({state!r} + "/homes"))
attempt("accounts", lambda: os.listdir({state!r} + "/hub"))
attempt("environment", lambda: pathlib.Path(f"/proc/{{server}}/environ").read_bytes())
attempt("memory", lambda: open(f"/proc/{{server}}/mem", "rb"))
attempt("signal", lambda: os.kill(server, 0))
attempt("course", lambda: open({course!r} + "/notebooks/02_dataset.ipynb", "ab"))
attempt("kernelspec", lambda: open({state!r} + "/jupyter/kernels/python3/kernel.json", "ab"))
attempt("root", lambda: os.setuid(0))
"""


@needs_hub
@as_root
def test_nobody_reaches_another_home_or_process(url, course, open_folder):
    secret = home(open_folder, "ben") / "course" / "secret.txt"

    @together
    async def check(anna, ben):
        async with ben.kernel(NOTEBOOK) as kernel:
            write = f"open({str(secret)!r}, 'w').write('of Ben')"
            server, _ = await kernel.execute(f"import os; {write}; print(os.getppid())")
            code = PRY.format(
                secret=str(secret),
                server=int(server),
                state=str(open_folder / "state"),
                course=str(course),
            )
            first, *others = (await run(anna, code)).splitlines()
            assert first == "own worked"
            assert len(others) == 11
            assert all(line.endswith(" refused") for line in others), others
            assert secret.read_text() == "of Ben"
            # The same attempts tell the difference where there is one: for Ben, most of it works.
            seen = (await kernel.execute(code))[0].splitlines()
        assert {"list worked", "read worked", "environment worked", "signal worked"} <= set(seen)

    asyncio.run(check(url))


LISTEN = """
import json, time, zmq

socket = zmq.Context.instance().socket(zmq.SUB)
keys = {keys}
if keys:
    socket.curve_publickey, socket.curve_secretkey = zmq.curve_keypair()
    socket.curve_serverkey = keys.encode()
socket.subscribe(b"")
socket.connect("tcp://127.0.0.1:{port}")
heard, until = 0, time.monotonic() + {seconds}
while not heard and time.monotonic() < until:
    if socket.poll(100):
        heard += b"whispered" in b"".join(socket.recv_multipart())
socket.close(0)
print("heard" if heard else "silence")
"""


@needs_hub
@as_root
def test_nobody_listens_in_on_another_kernel(url, open_folder):
    """A kernel's ports are open to every user of the machine; its messages are encrypted."""

    @together
    async def check(anna, ben):
        async with ben.kernel(NOTEBOOK) as kernel, anna.kernel(NOTEBOOK) as ear:
            folder = home(open_folder, "ben") / ".local/share/jupyter/runtime"
            connection = json.loads((folder / f"kernel-{kernel.id}.json").read_text())

            async def heard_by_anna(keys, seconds):
                code = LISTEN.format(
                    keys=repr(keys), port=connection["iopub_port"], seconds=seconds
                )
                listening = asyncio.create_task(ear.execute(code))
                while not listening.done():
                    talk = "for _ in range(10): print('whispered'); time.sleep(0.1)"
                    await kernel.execute(f"import time\n{talk}")
                return (await listening)[0].strip()

            assert await heard_by_anna("", 3) == "silence"
            # With the key, which only Ben and root can read, she would hear it.
            assert await heard_by_anna(connection["curve_publickey"], HUNG) == "heard"

    asyncio.run(check(url))


@needs_hub
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the guard needs /proc")
def test_a_kernel_that_takes_too_much_memory_is_ended_and_only_that_one(url):
    @together
    async def check(anna, ben):
        async with ben.kernel(NOTEBOOK) as bystander:
            await bystander.execute("here = b'x' * (300 << 20)")
            async with anna.kernel(NOTEBOOK) as kernel:
                await kernel.execute("some = b'x' * (300 << 20)")
                with pytest.raises(RuntimeError, match="The kernel died"):
                    await kernel.execute("more = b'x' * (900 << 20); import time; time.sleep(20)")
            assert await run(anna, "print('works again')") == "works again"
            assert (await bystander.execute("print(len(here) >> 20)"))[0].strip() == "300"

    asyncio.run(check(url))


FAMILY = """
import os, signal, sys, time
common = bytearray(b"x" * (200 << 20))
children = []
for _ in range(3):
    if (child := os.fork()) == 0:
        signal.sigwait([signal.SIGUSR1])
        own = bytearray(b"x" * (400 << 20))
        time.sleep(1000)
    children.append(child)
print(*children, flush=True)
sys.stdin.read()
os.kill(children[1], signal.SIGUSR1)
print(os.waitpid(-1, 0)[0], flush=True)
for child in children[::2]:
    os.kill(child, signal.SIGKILL)
"""


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="the guard needs /proc")
def test_the_guard_counts_shared_memory_once_and_ends_what_gives_back_most():
    """Four processes that share 200 MB, of which one then takes 400 MB more; 500 MB are allowed."""
    code = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])" + FAMILY
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        children = [int(child) for child in process.stdout.readline().split()]
        guard = threading.Thread(target=guard_memory, args=(process.pid, 500 << 20))
        guard.start()
        time.sleep(3)  # it looks once a second
        assert all(psutil.pid_exists(child) for child in children)
        process.stdin.close()
        assert int(process.stdout.readline()) == children[1]
    guard.join()


FORK = """
import subprocess
children = []
try:
    for _ in range(400):
        children.append(subprocess.Popen(["sleep", "60"]))
except OSError as error:
    print("refused", len(children), error.errno)
for child in children:
    child.kill()
    child.wait()
"""


@needs_hub
@as_root
def test_an_attendee_has_so_many_processes_and_no_more(url):
    @together
    async def check(anna, ben):
        word, count, number = (await run(anna, FORK)).split()
        assert word == "refused" and int(count) < int(PROCESSES) and int(number) == errno.EAGAIN
        assert await run(ben, "import subprocess; print(subprocess.call(['true']))") == "0"

    asyncio.run(check(url))


# ---------------------------------------------------------------------- trials without root


async def stay_active(attendee):
    """Have the hub know that an attendee's server is used, until cancelled."""
    address = f"{attendee.url}/hub/api/users/{attendee.name}/activity"
    while True:
        now = datetime.now(timezone.utc).isoformat()
        used = {"servers": {"": {"last_activity": now}}}
        answer = await attendee.call("POST", address, json=used)
        assert answer.status_code in (200, 400), "400: it has not been started yet."
        await asyncio.sleep(1)


@needs_hub
def test_a_trial_without_root_works_and_stops_idle_servers(course, open_folder, kernel_python):
    """Also shows what this spawner does not do: its attendees are one user."""
    state = open_folder / "trial"
    state.mkdir()
    if ROOT:
        os.chown(state, STRANGER, STRANGER)
    settings = {"HUB_COURSE_PYTHON": kernel_python, "HUB_IDLE_SECONDS": "8"}

    async def check(url):
        async with simulated.Attendee(url, "anna") as anna, simulated.Attendee(url, "ben") as ben:
            active = [asyncio.create_task(stay_active(one)) for one in (anna, ben)]
            await asyncio.gather(anna.start(), ben.start())
            there = str(state / "homes" / "ben" / "course" / NOTEBOOK)
            code = f"import os; print(os.getuid(), len(open({there!r}).read()) > 1000)"
            seen = await asyncio.gather(*(run(one, code) for one in (anna, ben)))
            assert set(seen) == {f"{STRANGER if ROOT else os.getuid()} True"}
            for task in active:
                assert task.cancel(), "It had failed."
            until = time.monotonic() + HUNG
            while await anna.is_running() or await ben.is_running():
                assert time.monotonic() < until, "The idle servers were not stopped."
                await asyncio.sleep(0.5)

    before = AS_STRANGER if ROOT else ()
    with simulated.running_hub(course, state, before=before, **settings) as url:
        asyncio.run(check(url))
    log = (state / "hub.log").read_text()
    assert "WARNING: HUB_TRIAL_PASSWORD is for trials only" in log
    assert "Culling server anna" in log


def refusal(course, state, **settings):
    """What the configuration says before it ends: it is Python that needs no hub up to there."""
    code = "import runpy, sys; runpy.run_path(sys.argv[1], {'get_config': dict})"
    result = subprocess.run(
        [sys.executable, "-c", code, course / "hub" / "jupyterhub_config.py"],
        env={"HUB_STATE": str(state), "HUB_COURSE_PYTHON": sys.executable, **settings},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    return line


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        pytest.param({"HUB_SPAWNER": "simple"}, "every attendee would be root", marks=as_root),
        ({"HUB_SPAWNER": "docker"}, "must be systemd, uid or simple"),
        ({"HUB_COURSE_PYTHON": "/nowhere/python"}, "/nowhere/python is missing"),
        ({"HUB_PORT": "http"}, "HUB_PORT must be a number"),
        ({"HUB_PROCESSES": "few"}, "HUB_PROCESSES must be a number"),
    ],
)
def test_what_cannot_work_is_refused_with_one_sentence(course, tmp_path, settings, words):
    assert words in refusal(course, tmp_path, **settings)


@as_root
def test_a_folder_that_attendees_cannot_reach_is_named(course, tmp_path):
    closed = course / "closed"
    closed.mkdir(mode=0o700)
    (closed / "python").symlink_to("/bin/sh")
    line = refusal(course, tmp_path, HUB_COURSE_PYTHON=str(closed / "python"))
    assert f"Attendees cannot reach {closed / 'python'}" in line
    assert f"only its owner may enter {closed}:" in line


async def may_log_in(url, name, password=PASSWORD):
    try:
        async with simulated.Attendee(url, name, password):
            return True
    except RuntimeError as refused:
        assert str(refused) == f"{name} could not log in: 200", "It says so, and does not break."
        return False


async def send_login(browser, url, name, password):
    await browser.get(f"{url}/hub/login")
    xsrf = next(c.value for c in browser.cookies.jar if (c.name, c.path) == ("_xsrf", "/hub/"))
    form = {"username": name, "password": password, "_xsrf": xsrf}
    return await browser.post(f"{url}/hub/login", data=form)


@needs_hub
def test_accounts_of_their_own_are_the_default(url):
    """Who signs up waits for an admin; the admin's name is taken by who signs up with it first."""

    async def check():
        assert (await sign_up(url, "iris", PASSWORD)).status_code == 200
        assert not await may_log_in(url, "iris")
        async with client() as browser:
            for password, words in (
                (PASSWORD, "has not been authorized"),
                ("", "Invalid username"),
            ):
                assert words in (await send_login(browser, url, "iris", password)).text
        async with simulated.Attendee(url, "instructor", PASSWORD) as instructor:
            await authorize(instructor, "iris")
        assert await may_log_in(url, "iris")
        assert not await may_log_in(url, "iris", simulated.PASSWORD)

    asyncio.run(check())


@needs_hub
def test_a_form_that_is_out_of_date_is_refused_in_words(url):
    async def check():
        async with client() as browser:
            form = {"username": "anna", "password": PASSWORD, "_xsrf": "of an hour ago"}
            answer = await browser.post(f"{url}/hub/login", data=form)
            assert answer.status_code == 403 and "Try again" in answer.text
            answer = await send_login(browser, url, "anna", PASSWORD)
            assert answer.status_code == 302

    asyncio.run(check())


@needs_hub
def test_what_an_admin_does_takes_a_form_with_a_token(url):
    async def check():
        async with simulated.Attendee(url, "instructor", PASSWORD) as instructor:
            page = (await instructor.browser.get(f"{url}/hub/authorize")).text
            assert 'method="post"' in page and "/hub/discard/mia" in page
            for action in ("authorize", "discard"):
                address = f"{url}/hub/{action}/mia"
                # As a link or a picture on somebody's page would have the admin's browser do it.
                assert (await instructor.browser.get(address)).status_code == 405
                assert (await instructor.browser.post(address)).status_code == 403
                wrong = {"_xsrf": "made up"}
                assert (await instructor.browser.post(address, data=wrong)).status_code == 403
            password = {"new_password": "another password", **dict.fromkeys(
                ["new_password_confirmation"], "another password")}  # fmt: skip
            address = f"{url}/hub/change-password/mia"
            assert (await instructor.browser.post(address, data=password)).status_code == 403
            assert (await instructor.browser.get(address, params=password)).status_code == 200
            assert not await may_log_in(url, "mia")
            await authorize(instructor, "mia")
            assert await may_log_in(url, "mia")
            assert not await may_log_in(url, "mia", "another password")
            password["_xsrf"] = instructor.xsrf("/hub/")
            assert (await instructor.browser.post(address, data=password)).status_code == 200
            assert await may_log_in(url, "mia", "another password")
        async with simulated.Attendee(url, "mia", "another password") as mia:
            form = {"_xsrf": mia.xsrf("/hub/")}
            for action in ("authorize", "discard"):
                answer = await mia.browser.post(f"{url}/hub/{action}/instructor", data=form)
                assert answer.status_code in (403, 404), "She is no admin."

    asyncio.run(check())


@needs_hub
@pytest.mark.parametrize(
    ("name", "password"), [("carla", "ä" * 37), ("dora", "x" * 1000), ("emma", "y" * 72)]
)
def test_passwords_may_be_longer_than_bcrypt_reads(url, name, password):
    async def check():
        assert (await sign_up(url, name, password)).status_code == 200
        async with simulated.Attendee(url, "instructor", PASSWORD) as instructor:
            await authorize(instructor, name)
        assert await may_log_in(url, name, password)
        for wrong in (password[:-1] + "z", password + "z", "z" * 100):
            assert not await may_log_in(url, name, wrong), "What comes after 72 bytes counts."
        async with simulated.Attendee(url, name, password) as attendee:
            new = "new " * 30
            form = {"old_password": password, "new_password": new,
                    "new_password_confirmation": new, "_xsrf": attendee.xsrf("/hub/")}  # fmt: skip
            page = await attendee.browser.post(f"{url}/hub/change-password", data=form)
            assert "changed successfully" in page.text
        assert await may_log_in(url, name, new) and not await may_log_in(url, name, password)

    asyncio.run(check())


@needs_hub
def test_a_password_that_is_too_short_is_refused_with_the_length_that_is_needed(url):
    page = asyncio.run(sign_up(url, "frida", "2short!"))
    assert "at least 8 characters" in page.text
    assert "8 characters" in read("hub/README.md")


async def log_in(browser, url, name, password):
    """Whether a browser, with what it keeps, gets in; and after how many seconds."""
    answer = await send_login(browser, url, name, password)
    assert answer.status_code in (200, 302), "No attempt is refused for what others do."
    return answer.status_code == 302, answer.elapsed.total_seconds()


@needs_hub
def test_wrong_passwords_lock_nobody_out(url, open_folder):
    """Somebody tries an account's passwords; its owner, from the same address, still gets in."""
    compared = open_folder / "state" / COMPARED

    async def check():
        assert (await sign_up(url, "gina", PASSWORD)).status_code == 200
        assert (await sign_up(url, "hans", PASSWORD)).status_code == 200
        async with simulated.Attendee(url, "instructor", PASSWORD) as instructor:
            await authorize(instructor, "gina")
            await authorize(instructor, "hans")
        compared.touch()
        async with (
            client() as known,
            client() as borrowed,
            client() as thief,
        ):
            assert (await log_in(known, url, "gina", PASSWORD))[0]
            assert (await log_in(borrowed, url, "hans", PASSWORD))[0]
            for browser in (known, borrowed):  # logged out: what is left is who was here before
                await browser.get(f"{url}/hub/logout")
                assert not any("login" in cookie.name for cookie in browser.cookies.jar)
            for number in range(5):
                right, _ = await log_in(thief, url, "gina", f"wrong password {number}")
                assert not right
            wrong = [
                asyncio.create_task(log_in(thief, url, "gina", f"another wrong one {number}"))
                for number in range(12)
            ]
            await asyncio.sleep(1)
            # Others, and the owner where she has been before, wait for no pause.
            assert (await log_in(known, url, "gina", PASSWORD))[0]
            assert await may_log_in(url, "hans")
            assert not all(task.done() for task in wrong), "They were let in meanwhile."
            # Elsewhere she waits for hers, as he does who was only logged in as somebody else.
            ways = [log_in(borrowed, url, "gina", PASSWORD), may_log_in(url, "gina")]
            (right, seconds), by_new_browser = await asyncio.gather(*ways)
            assert right and seconds > 2 and by_new_browser
            tried = await asyncio.gather(*wrong)
            assert not any(right for right, _ in tried)
            assert min(seconds for _, seconds in tried) > 2, "Each has cost its pause."

    asyncio.run(check())
    threads = compared.read_text().split()
    compared.unlink()
    assert len(threads) == 2 + 5 + 12 + 4, "Each password is compared once."
    assert "MainThread" not in threads, "The hub stood still meanwhile."


@needs_hub
def test_no_cookie_goes_along_with_other_sites_requests(url):
    async def check():
        seen = {}

        async def note(answer):
            for cookie in answer.headers.get_list("set-cookie"):
                name, _, value = cookie.partition("=")
                if not value.startswith('""'):  # then it is taken away
                    seen[name, value.partition("ath=")[2]] = cookie.lower()

        anna = simulated.Attendee(url, "anna", PASSWORD)
        anna.browser.event_hooks["response"] = [note]
        async with anna:
            await anna.start()
            assert (await anna.browser.get(f"{anna.home}/lab")).status_code == 200
        assert {"jupyterhub-hub-login", "jupyterhub-user-anna", "_xsrf"} <= {n for n, _ in seen}
        assert not [name for name, cookie in seen.items() if "samesite=lax" not in cookie]

    asyncio.run(check())


# ---------------------------------------------------------------------- without a hub


@pytest.mark.skipif(os.name == "nt", reason="the hub runs on Linux and macOS")
def test_a_service_ends_with_the_hub_even_if_that_is_killed(tmp_path):
    (tmp_path / "service.py").write_text(
        "import os, sys, time; print(os.getpid(), sys.argv[1:], flush=True); time.sleep(600)"
    )
    hub = (
        "import subprocess, sys, time; "
        f"subprocess.Popen([sys.executable, {str(HUB / 'with_hub.py')!r}, 'service', '--x']); "
        "time.sleep(600)"
    )
    command = [sys.executable, "-c", hub]
    with subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": str(tmp_path)}, stdout=subprocess.PIPE, text=True
    ) as process:
        said = process.stdout.readline()
        process.kill()
        # The pipe has its end when the service, which holds the other one, has ended.
        assert said.endswith("['--x']\n") and process.stdout.read() == ""


@pytest.fixture
def small_course(tmp_path):
    source = tmp_path / "source"
    for name in ("notebooks/a.ipynb", "notebooks/b.ipynb", "firmware/build/x", "firmware/app.cc",
                 "firmware/model/model.cc", "workshop_utils/__pycache__/a.pyc"):  # fmt: skip
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text("first")
    target = tmp_path / "target"
    target.mkdir()
    return source, target


def test_copying_leaves_out_what_runs_have_made(small_course):
    copied = dict.fromkeys(["notebooks/a.ipynb", "notebooks/b.ipynb", "firmware/app.cc"], "copied")
    assert copy_course(*small_course) == copied
    assert copy_course(*small_course) == {}


def test_copying_updates_what_is_unchanged_and_keeps_what_is_not(small_course):
    source, target = small_course
    copy_course(source, target)
    (target / "notebooks/a.ipynb").write_text("mine")
    (target / "own.txt").write_text("mine, too")
    for name in ("a", "b"):
        (source / f"notebooks/{name}.ipynb").write_text("second")
    expected = {"notebooks/a.ipynb": "kept", "notebooks/b.ipynb": "updated"}
    assert copy_course(source, target) == expected
    assert (target / "notebooks/a.ipynb").read_text() == "mine"
    assert (target / "notebooks/b.ipynb").read_text() == "second"
    assert (target / "own.txt").read_text() == "mine, too"
    # A file that was deleted comes back, and what was kept once is kept for ever.
    (target / "notebooks/b.ipynb").unlink()
    (source / "notebooks/a.ipynb").write_text("third")
    expected = {"notebooks/a.ipynb": "kept", "notebooks/b.ipynb": "copied"}
    assert copy_course(source, target) == expected


@pytest.mark.parametrize("record", [None, "", "[]", "{"])
def test_without_its_record_copying_keeps_whatever_differs(small_course, record):
    source, target = small_course
    copy_course(source, target)
    (source / "notebooks/a.ipynb").write_text("second")
    (target / ".copied.json").unlink()
    if record is not None:
        (target / ".copied.json").write_text(record)
    assert copy_course(source, target) == {"notebooks/a.ipynb": "kept"}


def test_the_hubs_lock_has_what_it_wants_with_hashes():
    locked = read_lock(read("hub/requirements.lock"))
    assert all(hashes and pin(requirement) for requirement, hashes in locked)
    versions = {canonicalize_name(r.name): pin(r) for r, _ in locked}
    lines = [line.partition(" #")[0] for line in read("hub/requirements.txt").splitlines()]
    wanted = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert len(wanted) == 5
    for requirement in wanted:
        assert versions[canonicalize_name(requirement.name)] == pin(requirement)
    assert not re.search(r"https?://|--(extra-)?index-url", read("hub/requirements.lock"))


def test_hub_and_course_have_the_same_jupyterlab():
    (wanted,) = re.findall(r"jupyterlab==([\d.]+)", read("pyproject.toml"))
    assert f"\njupyterlab=={wanted} #" in read("hub/requirements.txt")


@pytest.mark.parametrize(
    ("word", "status", "said"),
    [("--help", 0, "Usage: hub/install.sh"), ("--hepl", 2, "There is no option --hepl")],
)
def test_an_option_of_the_installation_is_no_folder(tmp_path, word, status, said):
    command = [HUB / "install.sh", word]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == status and said in (done.stderr if status else done.stdout)
    assert not list(tmp_path.iterdir())


def test_the_proxy_is_pinned_with_hashes():
    wanted = json.loads(read("hub/package.json"))["dependencies"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in wanted.values())
    packages = json.loads(read("hub/package-lock.json"))["packages"]
    assert packages.pop("")["dependencies"] == wanted
    assert packages["node_modules/configurable-http-proxy"]["version"] == "5.3.0"
    assert all(one["integrity"].startswith("sha512-") for one in packages.values())
    assert not any("resolved" in one for one in packages.values())


def test_the_kubernetes_values_fit_the_image_and_the_single_machine():
    values = yaml.safe_load(read("hub/values.yaml"))
    config, server = values["hub"]["config"], values["singleuser"]
    program, script = server["cmd"]
    assert program == "python" and script.startswith("/srv/course/")
    assert (paths.PROJECT / script.removeprefix("/srv/course/")).is_file()
    assert "--target-repo-dir /srv/course" in read("hub/README.md")
    notebook = server["defaultUrl"].removeprefix("/lab/tree/")
    assert (paths.PROJECT / notebook).is_file()
    assert server["memory"]["guarantee"] <= server["memory"]["limit"] == "3G"
    assert server["cpu"]["guarantee"] <= server["cpu"]["limit"] == 2
    assert values["cull"]["enabled"] and values["cull"]["timeout"] == 3600
    single = read("hub/jupyterhub_config.py")
    assert 'setting("MEMORY", "3G")' in single and 'setting("CPUS", "2")' in single
    for name in ("username_pattern", "allow_all", "admin_users"):
        assert name in config["Authenticator"] and f"c.Authenticator.{name} = " in single
    for name, value in config["NativeAuthenticator"].items():
        assert f"c.NativeAuthenticator.{name} = {value}" in single
    assert config["Authenticator"]["username_pattern"] in single
    for name, file in values["hub"]["extraFiles"].items():
        given = f"--set-file hub.extraFiles.{name}.stringData="
        source = read("hub/README.md").partition(given)[2].split()[0]
        assert file["mountPath"].endswith(source.removeprefix("hub/"))
        assert (paths.PROJECT / source).is_file()
    for line in values["hub"]["extraConfig"]["accounts"].splitlines():
        assert line.startswith(("import sys", "sys.path")) or line in single
    cookies = dict(config["JupyterHub"]["tornado_settings"])
    assert cookies.pop("slow_spawn_timeout") == 0
    assert f"tornado_settings = {cookies}".replace("'", '"') in single
    assert config["KubeSpawner"]["notebook_dir"] in single
    # repo2docker installs the course itself, too.
    assert "- -e ." in read("environment.yml")
