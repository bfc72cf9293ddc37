# JupyterHub for a class on one machine. README.md beside this file says how to start it.
#
# Settings are environment variables, so that this file need not be changed:
#
#   HUB_TRIAL_PASSWORD  one password for everybody: FOR TRIALS ONLY. Whoever knows it can log in
#                       under any name, also under yours. Without it attendees make accounts with
#                       passwords of their own, and an admin lets them in: for real use.
#   HUB_ADMINS          names of admins, separated by commas; not in a trial (instructor)
#   HUB_SPAWNER         systemd  real use: an account each; memory and CPU limits are enforced
#                       uid      a user id each, without systemd; the default when root starts it
#                       simple   FOR TRIALS ONLY: all are the user who started the hub, and can
#                                read one another's files; the default when anybody else does
#   HUB_MEMORY, HUB_CPUS  limits for each attendee (3G, 2); only systemd really enforces them
#   HUB_PROCESSES       processes and threads of each attendee at most (1000); not with simple
#   HUB_IDLE_SECONDS    a server that nobody has used for so long is stopped (3600)
#   HUB_IP, HUB_PORT    where the hub listens (127.0.0.1, 8000); it also takes the next two ports
#   HUB_TLS_CERT, HUB_TLS_KEY  files of a certificate: then the address is https
#   HUB_STATE           folder of accounts, keys and homes (hub/state)
#   HUB_ENV             where hub/install.sh installed to, if not to hub/
#   HUB_COURSE_PYTHON   the Python that runs the notebooks (that of ./install.sh)
import json
import os
import pwd
import stat
import subprocess
import sys
from pathlib import Path

HUB = Path(__file__).resolve().parent
COURSE = HUB.parent
sys.path.insert(0, str(HUB))

c = get_config()  # noqa: F821 (JupyterHub provides it)


def setting(name, value=""):
    return os.environ.get(f"HUB_{name}") or value


def stop(sentence):
    raise SystemExit(f"jupyterhub_config.py: {sentence}")


def readable_by_all(path):
    """Stop unless every user may enter the folders that lead to `path`, links followed."""
    path = Path(path).absolute()
    for way in (path, path.resolve()):
        for folder in way.parents:
            if not folder.stat().st_mode & stat.S_IXOTH:
                stop(
                    f"Attendees cannot reach {path}, since only its owner may enter {folder}: put "
                    "the course, its Python and HUB_STATE where everybody may (such as /opt)."
                )


root = os.geteuid() == 0
spawner = setting("SPAWNER", "uid" if root else "simple")
trial_password = setting("TRIAL_PASSWORD")
state = Path(setting("STATE", HUB / "state")).absolute()
homes = state / "homes"
course_python = Path(setting("COURSE_PYTHON", COURSE / ".venv" / "bin" / "python"))
port = setting("PORT", "8000")
processes = setting("PROCESSES", "1000")

for name, value in (("PORT", port), ("PROCESSES", processes)):
    if not value.isdecimal():
        stop(f"HUB_{name} must be a number, not {value}.")
port = int(port)
if spawner not in ("systemd", "uid", "simple"):
    stop(f"HUB_SPAWNER must be systemd, uid or simple, not {spawner}.")
if spawner == "simple" and root:
    stop("With HUB_SPAWNER=simple every attendee would be root: take uid or systemd.")
if spawner != "simple" and not root:
    stop(f"HUB_SPAWNER={spawner} needs root, to run servers as other users; simple does not.")
if spawner == "systemd" and not Path("/run/systemd/system").is_dir():
    stop("There is no systemd on this machine: take HUB_SPAWNER=uid.")
if not course_python.exists():
    stop(f"{course_python} is missing: run ./install.sh, or set HUB_COURSE_PYTHON.")

# ------------------------------------------------------------------ folders

private = state / "hub"  # accounts and keys
private.mkdir(parents=True, exist_ok=True)
private.chmod(0o700)
homes.mkdir(exist_ok=True)
for folder in (state, homes):
    folder.chmod(0o711)  # to be passed, not to be listed

# The course's Python as the kernel "python3": the hub's own has no TensorFlow. Attendees may read
# it and not write it, unless the spawner is simple.
kernel = state / "jupyter" / "kernels" / "python3" / "kernel.json"
kernel.parent.mkdir(parents=True, exist_ok=True)
kernel.write_text(
    json.dumps(
        {
            "argv": [str(course_python), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
            "display_name": "Python 3 (ipykernel)",
            "language": "python",
            "metadata": {"debugger": True, "supported_encryption": ["curve"]},
        }
    )
)
for path in (kernel, *kernel.parents[:3]):
    path.chmod(0o755 if path.is_dir() else 0o644)

if root:
    for path in (course_python, COURSE / "hub", sys.executable, homes / "anybody"):
        readable_by_all(path)

# ------------------------------------------------------------------ addresses

c.JupyterHub.bind_url = (
    f"{'https' if setting('TLS_CERT') else 'http'}://{setting('IP', '127.0.0.1')}:{port}/"
)
c.JupyterHub.ssl_cert = setting("TLS_CERT")
c.JupyterHub.ssl_key = setting("TLS_KEY")
c.JupyterHub.hub_port = port + 1
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{port + 2}"
proxy = Path(setting("ENV", HUB)) / "node_modules" / ".bin" / "configurable-http-proxy"
c.ConfigurableHTTPProxy.command = [str(proxy) if proxy.exists() else proxy.name]
c.ConfigurableHTTPProxy.pid_file = str(private / "proxy.pid")
c.JupyterHub.db_url = f"sqlite:///{private / 'jupyterhub.sqlite'}"
c.JupyterHub.cookie_secret_file = str(private / "cookie_secret")
# No other site can send a request with an attendee's cookies, except by a link that is followed.
c.JupyterHub.tornado_settings = {"cookie_options": {"samesite": "Lax"}}

# ------------------------------------------------------------------ who may log in

# A name becomes the name of a folder, and of an account with a prefix.
c.Authenticator.username_pattern = r"[a-z][a-z0-9_-]{0,19}"
c.Authenticator.allow_all = True
if trial_password:
    print(
        "WARNING: HUB_TRIAL_PASSWORD is for trials only: whoever knows it can log in under any "
        "name and see that attendee's work. For real use start the hub without it.",
        file=sys.stderr,
    )
    c.JupyterHub.authenticator_class = "shared-password"
    c.SharedPasswordAuthenticator.user_password = trial_password
else:
    import accounts

    # allow_all lets in whoever NativeAuthenticator lets in: accounts that an admin has accepted.
    c.JupyterHub.authenticator_class = accounts.AccountsOfAClass
    c.JupyterHub.template_paths = accounts.TEMPLATES
    c.Authenticator.admin_users = set(setting("ADMINS", "instructor").split(","))
    c.NativeAuthenticator.open_signup = False
    c.NativeAuthenticator.minimum_password_length = 8
    c.NativeAuthenticator.check_common_password = True

# ------------------------------------------------------------------ an attendee's server

c.Spawner.cmd = [sys.executable, str(HUB / "attendee.py")]
c.Spawner.args = [
    # Kernels listen on local ports, where any user of the machine could listen in.
    "--MappingKernelManager.transport_encryption=required",
    # A notebook that was left open; one that computes is not idle.
    f"--MappingKernelManager.cull_idle_timeout={setting('IDLE_SECONDS', '3600')}",
    "--MappingKernelManager.cull_connected=True",
    "--ServerApp.tornado_settings={'xsrf_cookie_kwargs': {'samesite': 'Lax'}}",
]
c.Spawner.notebook_dir = "~/course"
c.Spawner.default_url = "/lab/tree/notebooks/01_setup.ipynb"
c.Spawner.mem_limit = setting("MEMORY", "3G")
c.Spawner.cpu_limit = float(setting("CPUS", "2"))
c.Spawner.start_timeout = 120
c.Spawner.http_timeout = 120
c.JupyterHub.concurrent_spawn_limit = 10  # a class logs in all at once

threads = str(max(1, round(c.Spawner.cpu_limit)))
c.Spawner.env_keep = ["LANG", "LC_ALL"]
c.Spawner.environment = {
    "PATH": f"{course_python.parent}:/usr/local/bin:/usr/bin:/bin",
    "JUPYTER_PATH": str(state / "jupyter"),
    # Threads that wait for one another help nobody.
    "OMP_NUM_THREADS": threads,
    "TF_NUM_INTRAOP_THREADS": threads,
    "TF_NUM_INTEROP_THREADS": threads,
}

if spawner == "systemd":
    # The system enforces both limits, for all processes of an attendee together.
    c.JupyterHub.spawner_class = "systemd"
    c.SystemdSpawner.username_template = "workshop-{USERNAME}"
    c.SystemdSpawner.unit_name_template = "workshop-{USERNAME}"
    c.SystemdSpawner.isolate_tmp = True
    c.SystemdSpawner.isolate_devices = True
    c.SystemdSpawner.disable_user_sudo = True
    c.SystemdSpawner.default_shell = "/bin/bash"
    c.SystemdSpawner.unit_extra_properties = {"TasksMax": processes}

    def make_account(spawner):
        """An account of the system for the attendee, with a home that nobody else may enter."""
        name = f"workshop-{spawner.user.name}"
        try:
            pwd.getpwnam(name)
        except KeyError:
            subprocess.run(
                ["useradd", "--create-home", "--key", "HOME_MODE=0700", "--key", "UMASK=077",
                 "--shell", "/bin/bash", name],
                check=True,
            )  # fmt: skip

    c.Spawner.pre_spawn_hook = make_account
else:
    # These spawners enforce no limit. attendee.py keeps an eye on the memory instead, once a
    # second, against accidents; the CPU limit is no more than the number of threads above.
    c.Spawner.environment["WORKSHOP_GUARD"] = "1"
    c.SimpleLocalProcessSpawner.home_dir_template = str(homes / "{username}")
    if spawner == "uid":
        from own_uid import OwnUidSpawner

        c.JupyterHub.spawner_class = OwnUidSpawner
        c.OwnUidSpawner.processes = int(processes)
    else:
        c.JupyterHub.spawner_class = "simple"

# ------------------------------------------------------------------ servers that nobody uses

c.JupyterHub.services = [
    {
        "name": "idle-culler",
        "command": [
            sys.executable,
            str(HUB / "with_hub.py"),
            "jupyterhub_idle_culler",
            f"--timeout={setting('IDLE_SECONDS', '3600')}",
        ],
    }
]
c.JupyterHub.load_roles = [
    {
        "name": "idle-culler",
        "services": ["idle-culler"],
        "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
    }
]
