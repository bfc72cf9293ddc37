"""The files that keep changes in order: workflows, forms, hooks, the changelog, the citation."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import newest_versions
import pytest
import yaml

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
GITHUB = PROJECT / ".github"
CONFIG = GITHUB / "ISSUE_TEMPLATE" / "config.yml"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
FORMS = [
    path for path in sorted((GITHUB / "ISSUE_TEMPLATE").glob("*.yml")) if path.stem != "config"
]
# Each file and the schema of check-jsonschema that it has to fit.
SCHEMAS = {
    **dict.fromkeys(WORKFLOWS, "github-workflows"),
    **dict.fromkeys(FORMS, "github-issue-forms"),
    CONFIG: "github-issue-config",
    GITHUB / "dependabot.yml": "dependabot",
    PROJECT / "CITATION.cff": "citation-file-format",
}


def read(path):
    return (PROJECT / path).read_text(encoding="utf-8")


# check-jsonschema takes longer to start than to look at a file.
VALIDATE = """
import json, sys
from click.testing import CliRunner
from check_jsonschema import main
for line in sys.stdin:
    schema, *files = line.rstrip("\\n").split("\\t")
    options = ["--builtin-schema", f"vendor.{schema}", "--force-filetype", "yaml"]
    result = CliRunner().invoke(main, [*options, *files])
    print(json.dumps([schema, result.exit_code, result.output]))
"""


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory):
    """What check-jsonschema makes of the files of each schema, and of the first of them with
    nonsense in it: {schema: [(exit code, text), (exit code, text)]}."""
    pytest.importorskip("check_jsonschema")
    folder = tmp_path_factory.mktemp("broken")
    lines = []
    for schema in set(SCHEMAS.values()):
        good = [path for path, name in SCHEMAS.items() if name == schema]
        content = yaml.safe_load(good[0].read_text(encoding="utf-8"))
        broken = folder / f"{schema}.yml"
        broken.write_text(yaml.safe_dump({**content, "nonsense": {"a": 1}}))
        lines += ["\t".join(map(str, [schema, *files])) for files in (good, [broken])]
    done = subprocess.run(
        [sys.executable, "-c", VALIDATE], input="\n".join(lines), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = {}
    for line in done.stdout.splitlines():
        schema, *verdict = json.loads(line)
        found.setdefault(schema, []).append(verdict)
    return found


@pytest.mark.parametrize("schema", sorted(set(SCHEMAS.values())))
def test_the_files_fit_their_schemas(verdicts, schema):
    (code, said), _ = verdicts[schema]
    assert code == 0, said


@pytest.mark.parametrize("schema", sorted(set(SCHEMAS.values())))
def test_a_file_that_does_not_fit_is_noticed(verdicts, schema):
    _, (code, said) = verdicts[schema]
    assert code == 1 and "nonsense" in said


# ---- Workflows


def steps(workflow):
    jobs = yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"]
    return [step for job in jobs.values() for step in job["steps"]]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_names_versions_and_files_that_exist(workflow):
    for step in steps(workflow):
        assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+\.\d+\.\d+", step.get("uses", "a/b@v1.2.3"))
        for file in re.findall(r"(?:^|\s)(?:\./)?([\w.]+/[\w./]+)", step.get("run", "")):
            assert file.startswith(".venv/bin/") or (PROJECT / file).is_file(), file
    assert "permissions: {contents: read}" in yaml.safe_dump(
        yaml.safe_load(workflow.read_text(encoding="utf-8")), default_flow_style=None
    )


def test_the_test_command_runs_on_every_system_and_python():
    job = yaml.safe_load(read(".github/workflows/tests.yml"))["jobs"]["tests"]
    systems = {name.partition("-")[0] for name in job["strategy"]["matrix"]["os"]}
    assert systems == {"ubuntu", "macos", "windows"}
    low, high = re.search(
        r">=3\.(\d+),<3\.(\d+)",
        tomllib.loads(read("pyproject.toml"))["project"]["requires-python"],
    ).groups()
    expected = [f"3.{minor}" for minor in range(int(low), int(high))]
    assert job["strategy"]["matrix"]["python"] == expected
    assert "./install.sh --test" in [step.get("run") for step in job["steps"]]


def test_the_newest_versions_are_those_allowed_without_pins():
    pyproject = read("pyproject.toml")
    pinned = newest_versions.requirements(pyproject)
    loose = [newest_versions.loosened(name) for name in pinned]
    assert len(loose) > 40 and not any("==" in name.partition(";")[0] for name in loose)
    assert newest_versions.loosened("a==1.0 ; b == '3'") == "a>=1.0 ; b == '3'"


# ---- Hooks, containers, documents


def hooks():
    (repository,) = yaml.safe_load(read(".pre-commit-config.yaml"))["repos"]
    assert repository["repo"] == "local", "Hooks are the tools of .venv."
    return {hook["id"]: hook for hook in repository["hooks"]}


def test_hooks_are_tools_of_the_environment():
    for hook in hooks().values():
        assert hook["language"] == "system"
        program, *rest = hook["entry"].split()
        if program.startswith(".venv/bin/"):
            name = program.removeprefix(".venv/bin/")
            found = shutil.which(name, path=str(BIN))
            assert found or name == "clang-format", name
        assert all((PROJECT / word).is_file() for word in rest if word.endswith(".py"))


@pytest.mark.skipif(os.name == "nt", reason="hooks run in Git's own shell there")
@pytest.mark.parametrize("name", ["ruff", "ruff-format"])
def test_a_hook_says_what_is_wrong(name, tmp_path):
    program = shutil.which("ruff", path=str(BIN))
    words = hooks()[name]["entry"].split()[1:]
    bad = tmp_path / "bad.py"
    bad.write_text("import os\nx = {  'a':1}\n")
    subprocess.run([program, *words, "--quiet", bad], capture_output=True)
    check = ["--check"] if name == "ruff-format" else []
    result = subprocess.run([program, *words, *check, bad], capture_output=True, text=True)
    assert (result.returncode == 0) == (name == "ruff-format")  # formatted, but still with a fault


def test_scripts_pass_shellcheck():
    program = shutil.which("shellcheck", path=f"{BIN}{os.pathsep}{os.environ['PATH']}")
    if program is None:
        pytest.skip("shellcheck is not installed")
    scripts = [PROJECT / name for name in ("install.sh", "hub/install.sh", ".ci/run", "postBuild")]
    result = subprocess.run([program, *scripts], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


def test_the_container_has_what_the_course_needs():
    content = json.loads(read(".devcontainer/devcontainer.json"))
    python = re.fullmatch(r"python:(3\.\d+)-\w+", content["image"])[1]
    jobs = yaml.safe_load(read(".github/workflows/tests.yml"))["jobs"]
    assert python in jobs["tests"]["strategy"]["matrix"]["python"]
    assert (PROJECT / content["postCreateCommand"]).is_file()


def test_changelog_citation_and_package_agree():
    version = tomllib.loads(read("pyproject.toml"))["project"]["version"]
    first, *releases = re.findall(r"^## (.*)$", read("CHANGELOG.md"), re.MULTILINE)
    assert first == "[Unreleased]"
    found = [
        re.fullmatch(r"\[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)", name).groups() for name in releases
    ]
    assert found == sorted(found, reverse=True)
    cited = yaml.safe_load(read("CITATION.cff"))
    assert (cited["version"], cited["date-released"]) == found[0]
    assert cited["version"] == version
    assert read("LICENSE").strip().startswith("Apache License")
    assert cited["license"] == "Apache-2.0"


def test_changes_are_of_the_six_kinds():
    kinds = set(re.findall(r"^### (.*)$", read("CHANGELOG.md"), re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
