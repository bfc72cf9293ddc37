import json
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner
from record_factory import HOSTILE, harmful, hostile_run, moves_the_cursor, with_texts

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


def run(*statuses, failure=None, started="2026-03-01T14:00:00Z", seconds=1.0):
    rows = [
        {"name": name, "status": status, "seconds": 1.0}
        for name, status in zip(NOTEBOOKS, statuses, strict=False)
    ]
    rest = {"parameters": {}, "machine": {}, "versions": {}, "metrics": {}, "seconds": seconds}
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


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
@pytest.mark.parametrize("seconds", [(1.0, 9.0), (9.0, 1.0)])
def test_the_run_that_began_last_counts_whatever_it_is_called_and_takes(tmp_path, names, seconds):
    older = run("failed", failure="old", started="2026-03-01T09:30:00Z", seconds=seconds[0])
    newer = run(
        "ok", "ok", "failed", failure="new", started="2026-03-01T10:00:00Z", seconds=seconds[1]
    )
    write(
        tmp_path, **{f"ada__{name}": one for name, one in zip(names, (older, newer), strict=True)}
    )
    (person,), _ = classroom.read(tmp_path)
    assert letters(person).startswith("oox.") and person.help == ["new"]


def test_what_a_failed_notebook_without_a_reason_is_called(tmp_path):
    write(tmp_path, ada=run("ok", "failed"))
    (person,), _ = classroom.read(tmp_path)
    assert person.help == ["a notebook failed"]


def test_everybody_in_lines():
    states = dict.fromkeys(NOTEBOOKS, "open")
    people = [
        classroom.Attendee("ada", states | dict.fromkeys(NOTEBOOKS[:3], "done")),
        classroom.Attendee("ben", states | {NOTEBOOKS[0]: "failed"}, ["Disk: full -> make room"]),
        classroom.Attendee("cem", states),
    ]
    lines = classroom.text(people, ["x.json is damaged."]).splitlines()
    head, ada, ben, cem = (line.split() for line in lines[:4])
    assert head == [name[:2] for name in NOTEBOOKS]
    rest = ["."] * (len(NOTEBOOKS) - 3)
    assert ada == ["ada", "ok", "ok", "ok", *rest]
    assert ben == ["ben", "X", ".", ".", *rest] and cem == ["cem", ".", ".", ".", *rest]
    assert [line.strip() for line in lines[4:]] == [
        "",
        "3 attendees; last notebook done:",
        "2  nothing yet",
        f"1  {NOTEBOOKS[2]}",
        "",
        "Need help:",
        "ben       Disk: full -> make room",
        "",
        "Skipped:",
        "x.json is damaged.",
    ]


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


def test_no_text_from_another_computer_moves_the_cursor_or_is_markup(tmp_path):
    """In every text of every record, in the names of files, and in the class's picture."""
    name = HOSTILE.replace("/", "|")
    hostile = with_texts(doctor(done=["x"], Disk="full"), HOSTILE)
    folder = tmp_path / "class"
    folder.mkdir()
    for stem, content in (
        (name[:60], hostile),
        ("doctor", hostile),
        ("run", hostile_run(HOSTILE) | {"notebooks": run("failed")["notebooks"]}),
        (f"damaged {name[-60:]}", {"kind": HOSTILE}),
        ("damaged", {**hostile, "checks": [HOSTILE]}),
    ):
        (folder / f"{stem}.json").write_text(json.dumps(content))
    target = tmp_path / "class.svg"
    result = CliRunner().invoke(main, ["class", str(folder), "--picture", str(target)])
    assert result.exit_code == 0, result.output
    assert not moves_the_cursor(result.output)
    assert result.stdout.count("Disk") == 0 and result.stdout.count("alert(1)") > 5
    picture = target.read_text(encoding="utf-8")
    kinds = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(picture).iter()}
    assert "path" in kinds and not kinds & {"script", "img", "foreignObject", "a", "image"}
    assert not harmful(picture) and not moves_the_cursor(picture)


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


def test_long_names_and_findings_are_clipped(tmp_path):
    broken = run("failed", failure="y" * 1_000_000)
    write(tmp_path, **{"n" * 240: doctor(Disk="x" * 1_000_000), "ada": broken, "z" * 200: "{"})
    result = CliRunner().invoke(main, ["class", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert max(map(len, result.stdout.splitlines())) < 500
    assert "n" * 39 + "…  " in result.stdout and "y" * 399 + "…" in result.stdout


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_a_name_that_the_font_cannot_draw_is_no_warning(tmp_path, recwarn, ending):
    write(tmp_path / "class", **{"日本 🎉": doctor()})
    target = tmp_path / f"x.{ending}"
    result = CliRunner().invoke(main, ["class", str(tmp_path / "class"), "--picture", str(target)])
    assert result.exit_code == 0 and not result.stderr and not recwarn.list
    assert "日本 🎉" in result.stdout and target.stat().st_size > 1000


def test_a_picture_of_another_kind_is_refused_before_anything_is_said(tmp_path):
    write(tmp_path, ada=doctor())
    result = CliRunner().invoke(main, ["class", str(tmp_path), "--picture", "x.pdf"])
    assert result.exit_code == 1 and not result.stdout and "should end with" in result.stderr


def test_a_picture_of_another_kind(tmp_path):
    with pytest.raises(WorkshopError, match=r"should end with \.png or \.svg"):
        classroom.draw([], tmp_path / "a.gif")
