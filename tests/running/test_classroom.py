import json
from itertools import pairwise

import pytest
from click.testing import CliRunner

from workshop_utils.cli import main
from workshop_utils.errors import WorkshopError
from workshop_utils.running import classroom, notebooks

NOTEBOOKS = [path.stem for path in notebooks.notebooks().values()]


def doctor(done=(), **wrong):
    checks = [{"name": "Python", "ok": True, "required": True, "found": "3.12", "advice": None}]
    checks += [
        {"name": name, "ok": False, "required": name != "QEMU", "found": why, "advice": "do this"}
        for name, why in wrong.items()
    ]
    return {"kind": "doctor", "ready": not wrong, "checks": checks, "done": list(done)}


def run(*statuses, failure=None, started="2026-03-01T14:00:00Z"):
    rows = [
        {"name": name, "status": status, "seconds": 1.0}
        for name, status in zip(NOTEBOOKS, statuses, strict=False)
    ]
    rest = {"parameters": {}, "machine": {}, "versions": {}, "metrics": {}, "seconds": 1.0}
    return {"kind": "run", "started": started, "failure": failure, "notebooks": rows, **rest}


def write(folder, **files):
    for name, content in files.items():
        path = folder / f"{name.replace('__', '/')}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        text = content if isinstance(content, str) else json.dumps(content)
        path.write_text(text)


def letters(person):
    return "".join({"done": "o", "failed": "x", "open": "."}[s] for s in person.states.values())


def test_who_is_where(tmp_path):
    write(
        tmp_path,
        ada=doctor(done=["02_dataset", "03_small_model"]),
        ben=doctor(Disk="full", QEMU="not here"),
        cem__doctor=doctor(),
        cem__output__run=run("ok", "up to date", "ok", "failed", "not run", failure="no memory"),
        dana=run("ok", "ok", started="2026-03-01T13:00:00Z"),
    )
    attendees, skipped = classroom.read(tmp_path)
    found = {person.name: letters(person)[:6] for person in attendees}
    assert found == {"ada": "ooo...", "ben": "x.....", "cem": "ooox..", "dana": "oo...."}
    wrong = {person.name: person.help for person in attendees if person.help}
    assert wrong == {"ben": ["Disk: full -> do this"], "cem": ["no memory"]}
    assert skipped == []


def test_what_failed_in_a_run_and_was_done_since(tmp_path):
    done = [name for name in NOTEBOOKS if name[:2] in ("02", "03")]
    write(tmp_path, ada__a=run("ok", "ok", "failed", failure="broken"), ada__b=doctor(done=done))
    (person,), _ = classroom.read(tmp_path)
    assert letters(person).startswith("ooo.") and person.help == []


def test_the_latest_run_counts(tmp_path):
    write(
        tmp_path,
        ada__old=run("failed", failure="old"),
        ada__new=run("ok", "ok", started="2026-03-02T09:00:00Z"),
    )
    (person,), _ = classroom.read(tmp_path)
    assert letters(person).startswith("oo") and person.help == [] and person.last == "02_dataset"


def test_damaged_files_are_named_and_skipped(tmp_path):
    write(
        tmp_path,
        ada=doctor(),
        ben="{",
        cem="[]",
        dana={"kind": "other"},
        eli={"kind": "doctor", "checks": [1], "done": []},
        fatma={"kind": "doctor", "checks": []},
        gus={"kind": "run"},
    )
    (tmp_path / "hana.json").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "notes.txt").write_text("not asked for")
    result = CliRunner().invoke(main, ["class", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "1 attendee; last notebook done:" in result.stdout
    skipped = result.stdout.partition("Skipped:")[2]
    for name in ("ben", "cem", "dana", "eli", "fatma", "gus", "hana"):
        assert skipped.count(f"{name}.json") == 1
    assert "Traceback" not in result.output


def test_nothing_in_a_file_can_move_the_cursor(tmp_path):
    write(tmp_path, ada=doctor(Disk="\x1b[2Jgone\nNeed help:"))
    result = CliRunner().invoke(main, ["class", str(tmp_path)])
    assert "\x1b" not in result.stdout and "[2Jgone Need help:" in result.stdout


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_a_folder_without_answers(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(WorkshopError, match=r"There (is no folder|are no \.json files)"):
        classroom.read(tmp_path / name)


def test_what_the_doctor_prints_is_understood(tmp_path):
    from workshop_utils.doctor import examine

    write(tmp_path, me=examine())
    (person,), skipped = classroom.read(tmp_path)
    assert skipped == [] and person.states[NOTEBOOKS[0]] in ("done", "failed")


@pytest.mark.parametrize(("name", "starts"), [("a.png", b"\x89PNG"), ("a.svg", b"<?xml")])
def test_the_picture(tmp_path, name, starts):
    people = {f"person_{number:02}": doctor(done=NOTEBOOKS[1:4]) for number in range(30)}
    write(tmp_path / "class", **people, **{"$a_b$": doctor(Disk="full")})
    target = tmp_path / name
    result = CliRunner().invoke(main, ["class", str(tmp_path / "class"), "--picture", str(target)])
    assert result.exit_code == 0, result.output
    assert target.read_bytes().startswith(starts) and str(target) in result.stdout


def test_labels_of_the_picture_do_not_overlap(tmp_path, monkeypatch):
    import matplotlib.figure

    figures = []
    real = matplotlib.figure.Figure.savefig

    def kept(self, *arguments, **named):
        figures.append(self)
        return real(self, *arguments, **named)

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", kept)
    write(tmp_path, **{f"person_{number:02}": doctor() for number in range(30)})
    classroom.draw(classroom.read(tmp_path)[0], tmp_path / "a.png")
    axes = figures[0].axes[0]
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        boxes = [label.get_window_extent() for label in labels]
        assert not any(a.overlaps(b) for a, b in pairwise(boxes))


def test_a_picture_of_another_kind(tmp_path):
    with pytest.raises(WorkshopError, match=r"should end with \.png or \.svg"):
        classroom.draw([], tmp_path / "a.gif")
