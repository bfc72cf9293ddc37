"""A class on one server: attendees who log in, start servers and run notebooks, all at once.

Starts the hub of hub/ in a temporary folder, with each attendee's server as a user of its own if
you are root. Each simulated attendee talks to it as a browser does, by HTTP and the Jupyter
protocol over WebSockets: runs the notebooks cell by cell, and stops to think before each.

    .venv/bin/python benchmarks/hub.py --attendees 1 5 10 20

Needs what hub/install.sh installs; HUB_ENV names the folder if that is not hub/.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import httpx
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

PROJECT = Path(__file__).resolve().parents[1]
PASSWORD = "only for this trial"
NOTEBOOKS = ("02", "03", "04", "05", "06")
CELL_TIMEOUT = 600  # seconds
ACCEPTED = 202
TLS = ssl.create_default_context()  # each client of httpx would read all certificates for its own


def hub_command():
    """The path of the jupyterhub command, or None: in HUB_ENV, in hub/ or on PATH."""
    installed = Path(os.environ.get("HUB_ENV") or PROJECT / "hub")
    command = installed / ".venv" / "bin" / "jupyterhub"
    if command.exists():
        proxy = installed / "node_modules" / ".bin" / "configurable-http-proxy"
        return command if proxy.exists() or shutil.which(proxy.name) else None
    return shutil.which("jupyterhub") if shutil.which("configurable-http-proxy") else None


def free_port():
    """The first of three ports in a row that nobody listens on."""
    while True:
        first = random.randrange(20_000, 32_000)
        with contextlib.ExitStack() as stack:
            try:
                for port in range(first, first + 3):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return first


@contextlib.contextmanager
def running_hub(course, state, *, before=(), **settings):
    """The hub of the folder `course`, running while the block does; gives its address.

    state: an empty folder for homes and accounts. before: words before the command. settings:
    environment variables. What the hub says is in state/hub.log.
    Raises RuntimeError if it does not start within five minutes.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(state),
        "HUB_STATE": str(state),
        "HUB_PORT": str(port),
        "HUB_TRIAL_PASSWORD": PASSWORD,
        "HUB_ENV": os.environ.get("HUB_ENV", ""),
        **settings,
    }
    command = [*before, hub_command(), "-f", course / "hub" / "jupyterhub_config.py"]
    with (state / "hub.log").open("wb") as log:
        process = subprocess.Popen(
            [str(word) for word in command], cwd=state, env=environment, stdout=log, stderr=log
        )
    try:
        for _ in range(3000):
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{url}/hub/health", verify=TLS).status_code == httpx.codes.OK:
                    break
            if process.poll() is not None:
                break
            time.sleep(0.1)
        else:
            process.poll()
        if process.returncode is not None:
            raise RuntimeError((state / "hub.log").read_text()[-3000:])
        yield url
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Attendee:
    """Somebody with a browser. Use it as `async with Attendee(url, name) as anna`: logs in."""

    def __init__(self, url, name, password=PASSWORD):
        self.url, self.name, self.password = url, name, password
        self.home = f"{url}/user/{name}"
        self.browser = httpx.AsyncClient(follow_redirects=True, timeout=180, verify=TLS)
        self.headers = {}

    async def __aenter__(self):
        login = f"{self.url}/hub/login"
        await self.browser.get(login)
        form = {"username": self.name, "password": self.password, "_xsrf": self.xsrf("/hub/")}
        answer = await self.browser.post(login, data=form, follow_redirects=False)
        if answer.status_code != httpx.codes.FOUND:
            raise RuntimeError(f"{self.name} could not log in: {answer.status_code}")
        tokens = f"{self.url}/hub/api/users/{self.name}/tokens"
        answer = await self.browser.post(
            tokens, headers={"X-XSRFToken": self.xsrf("/hub/")}, json={"note": "attendee"}
        )
        answer.raise_for_status()
        self.headers = {"Authorization": f"token {answer.json()['token']}"}
        return self

    async def __aexit__(self, *_):
        await self.browser.aclose()

    def xsrf(self, path):
        """The value of the cookie against cross-site requests that is for this path."""
        return next(
            c.value for c in self.browser.cookies.jar if (c.name, c.path) == ("_xsrf", path)
        )

    async def call(self, method, url, **options):
        """An HTTP request with the attendee's token. Returns the answer, whatever its status."""
        async with httpx.AsyncClient(timeout=180, headers=self.headers, verify=TLS) as client:
            return await client.request(method, url, **options)

    async def api(self, method, path, **options):
        """A request to the attendee's own server. Returns the JSON. Raises for a bad status."""
        answer = await self.call(method, f"{self.home}/api/{path}", **options)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    async def start(self):
        """Start the attendee's server, if it does not run, and wait until it answers."""
        if await self.is_running():
            return
        user = f"{self.url}/hub/api/users/{self.name}"
        answer = await self.call("POST", f"{user}/server")
        answer.raise_for_status()
        deadline = time.monotonic() + 180
        while not await self.is_running():
            if time.monotonic() > deadline:
                raise RuntimeError(f"The server of {self.name} did not start.")
            await asyncio.sleep(0.2)

    async def stop(self):
        """Stop the attendee's server and wait until it has ended."""
        server = f"{self.url}/hub/api/users/{self.name}/server"
        answer = await self.call("DELETE", server)
        while answer.status_code == ACCEPTED:
            await asyncio.sleep(0.2)
            if not (await self.server()):
                return
        answer.raise_for_status()

    async def server(self):
        """What the hub knows of the attendee's server, or None if there is none."""
        answer = await self.call("GET", f"{self.url}/hub/api/users/{self.name}")
        answer.raise_for_status()
        return answer.json()["servers"].get("")

    async def is_running(self):
        """Whether the hub says that the server is ready."""
        server = await self.server()
        return bool(server and server["ready"])

    @contextlib.asynccontextmanager
    async def kernel(self, notebook):
        """A kernel for a notebook, as JupyterLab starts it; ended with the block."""
        session = await self.api(
            "POST",
            "sessions",
            json={
                "path": notebook,
                "name": Path(notebook).name,
                "type": "notebook",
                "kernel": {"name": "python3"},
            },
        )
        identity = session["kernel"]["id"]
        url = f"{self.home}/api/kernels/{identity}/channels?session_id={uuid.uuid4().hex}"
        request = HTTPRequest(
            url.replace("http", "ws", 1), headers=self.headers, request_timeout=180
        )
        connection = await websocket_connect(request, max_message_size=2**26)
        try:
            yield Kernel(identity, connection)
        finally:
            connection.close()
            await self.end(f"{self.home}/api/sessions/{session['id']}")

    async def end(self, session, patience=60):
        """End a session. One whose kernel is just being restarted cannot be ended: asks again."""
        deadline = time.monotonic() + patience
        while True:
            answer = await self.call("DELETE", session)
            if answer.status_code == httpx.codes.NOT_FOUND:  # it went with the kernel
                return
            if answer.status_code < 500 or time.monotonic() > deadline:
                answer.raise_for_status()
                return
            await asyncio.sleep(0.5)


class Kernel:
    """A kernel at the other end of a WebSocket."""

    def __init__(self, identity, connection):
        self.id, self.connection, self.session = identity, connection, uuid.uuid4().hex

    async def execute(self, code):
        """Run one cell. Returns its text output and the seconds until it first showed anything.

        Raises RuntimeError if the cell raises or the kernel dies, TimeoutError after ten minutes.
        """
        started, first, text, error = time.monotonic(), None, [], None
        number = uuid.uuid4().hex
        header = {"msg_id": number, "session": self.session, "username": "", "version": "5.3",
                  "msg_type": "execute_request", "date": "1970-01-01T00:00:00Z"}  # fmt: skip
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {},
                   "allow_stdin": False, "stop_on_error": True}  # fmt: skip
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content,
                   "channel": "shell", "buffers": []}  # fmt: skip
        await self.connection.write_message(json.dumps(message))
        while True:
            left = started + CELL_TIMEOUT - time.monotonic()
            raw = await asyncio.wait_for(self.connection.read_message(), left)
            if raw is None:
                raise RuntimeError("The connection to the kernel broke.")
            answer = json.loads(raw) if isinstance(raw, str) else {}
            if answer.get("content", {}).get("execution_state") in ("restarting", "dead"):
                raise RuntimeError("The kernel died.")
            if answer.get("parent_header", {}).get("msg_id") != number:
                continue
            kind, content = answer["msg_type"], answer["content"]
            if kind in ("stream", "display_data", "execute_result", "update_display_data"):
                first = first or time.monotonic() - started
                text.append(content.get("text") or content.get("data", {}).get("text/plain", ""))
            elif kind == "error":
                error = f"{content['ename']}: {content['evalue']}"
            elif kind == "status" and content["execution_state"] == "idle":
                if error:
                    raise RuntimeError(error)
                return "".join(text), first


# ---------------------------------------------------------------------- the measurement


def code_cells(name, course=PROJECT):
    """A notebook's path inside the course, and the code of its cells."""
    (path,) = (course / "notebooks").glob(f"{name}_*.ipynb")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    return path.relative_to(course).as_posix(), code


def memory(url):
    """What attendees' processes take: {name: bytes}, shared pages divided among their users."""
    taken = {}
    port = url.rpartition(":")[2]
    marks = f"JUPYTERHUB_API_URL=http://127.0.0.1:{int(port) + 1}/".encode()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, StopIteration, IndexError):
            variables = (process / "environ").read_bytes()
            if marks not in variables:
                continue
            named = (v for v in variables.split(b"\0") if v.startswith(b"JUPYTERHUB_USER="))
            name = next(named).partition(b"=")[2].decode()
            pss = (process / "smaps_rollup").read_text().partition("\nPss:")[2].split()[0]
            if name:  # the hub's services have none
                taken[name] = taken.get(name, 0) + 1024 * int(pss)
    return taken


async def watch(url, peaks, totals):
    """Keep the largest memory of each attendee and of all, until cancelled."""
    while True:
        taken = await asyncio.to_thread(memory, url)
        for name, size in taken.items():
            peaks[name] = max(size, peaks.get(name, 0))
        totals.append(sum(taken.values()))
        await asyncio.sleep(2)


async def attend(url, name, options, seed):
    """One attendee's whole course. Returns what was measured; 'error' is None if all went well."""
    pause = random.Random(seed)
    seen = {"start": None, "first": [], "notebooks": {}, "work": {}, "error": None}
    try:
        await asyncio.sleep(pause.uniform(0, options.arrival))
        async with Attendee(url, name) as attendee, contextlib.AsyncExitStack() as left_open:
            began = time.monotonic()
            await attendee.start()
            seen["start"] = time.monotonic() - began
            for notebook in options.notebooks:
                path, cells = code_cells(notebook)
                began, thought = time.monotonic(), 0.0
                first = None
                async with contextlib.AsyncExitStack() as opened:
                    stack = left_open if options.leave_open else opened
                    kernel = await stack.enter_async_context(attendee.kernel(path))
                    for number, code in enumerate(cells):
                        seconds = pause.uniform(0.5, 1.5) * options.pause
                        await asyncio.sleep(seconds)
                        thought += seconds
                        try:
                            _, shown = await kernel.execute(code)
                        except Exception as error:
                            raise RuntimeError(f"{notebook}, cell {number}: {error}") from error
                        if first is None and shown is not None:
                            first = time.monotonic() - began - thought
                seen["first"].append(first)
                seen["notebooks"][notebook] = time.monotonic() - began
                seen["work"][notebook] = seen["notebooks"][notebook] - thought
            await left_open.aclose()
            await attendee.stop()
    except Exception as error:
        seen["error"] = f"{type(error).__name__}: {error}"
    return seen


async def measure(url, count, options):
    """`count` attendees at once. Returns (what `attend` returned, peaks, totals)."""
    peaks, totals = {}, []
    watcher = asyncio.create_task(watch(url, peaks, totals))
    names = [f"attendee{number:02}" for number in range(1, count + 1)]
    seen = await asyncio.gather(*(attend(url, n, options, s) for s, n in enumerate(names)))
    watcher.cancel()
    return seen, peaks, totals


def median(values):
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else float("nan")


def row(count, seen, peaks, totals, options):
    """One line of the table, for `count` attendees."""
    fine = [one for one in seen if one["error"] is None]
    works = [median(one["work"].get(name) for one in fine) for name in options.notebooks]
    starts = [one["start"] for one in seen if one["start"] is not None]
    firsts = [first for one in seen for first in one["first"]]
    cells = [
        f"{count:>3}",
        f"{len(fine):>3} of {count:<3}",
        f"{median(starts):7.1f}",
        f"{median(firsts):7.1f}",
        *(f"{work:7.1f}" for work in works),
        f"{median(peaks.values()) / 2**20:8.0f}",
        f"{max(totals, default=0) / 2**20:8.0f}",
        f"{os.getloadavg()[0]:6.1f}",
    ]
    return " ".join(cells)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--attendees", type=int, nargs="+", default=[1, 5, 10, 20])
    parser.add_argument("--pause", type=float, default=10, help="seconds before each cell")
    parser.add_argument("--arrival", type=float, default=30, help="all log in within these seconds")
    parser.add_argument("--notebooks", nargs="+", default=NOTEBOOKS)
    parser.add_argument("--leave-open", action="store_true", help="shut down no notebook")
    parser.add_argument("--memory", default="", help="limit for each attendee, such as 2G")
    options = parser.parse_args()
    if not hub_command():
        sys.exit("hub.py: JupyterHub or its proxy is missing: run hub/install.sh, or set HUB_ENV.")

    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before it began; a pause of "
          f"{options.pause:g} s before each cell")  # fmt: skip
    print("Seconds: to a server, to a notebook's first output, and for the notebooks without the")
    print("pauses, all medians. MB: peak of an attendee (median), peak of all together (PSS).")
    print("  N   success  server   first " + " ".join(f"{n:>7}" for n in options.notebooks)
          + "  MB each   MB all   load")  # fmt: skip
    failed = False
    for count in options.attendees:
        with tempfile.TemporaryDirectory(prefix="hub-") as folder:
            Path(folder).chmod(0o711)  # attendees pass through it to their homes
            settings = {"HUB_COURSE_PYTHON": sys.executable, "HUB_MEMORY": options.memory}
            with running_hub(PROJECT, Path(folder), **settings) as url:
                seen, peaks, totals = asyncio.run(measure(url, count, options))
        print(row(count, seen, peaks, totals, options), flush=True)
        for error in {one["error"] for one in seen if one["error"]}:
            print(f"    {error}")
            failed = True
    sys.exit(failed)


if __name__ == "__main__":
    main()
