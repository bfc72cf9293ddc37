import json
import os
import re
import time
import unicodedata
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
    assert head == [*(name[:2] for name in NOTEBOOKS), "System", "Python", "Memory"]
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
        "Disk: full -> make room",
        "ben",
        "",
        "Skipped:",
        "x.json is damaged.",
    ]


def test_what_each_machine_is(tmp_path):
    machine = {"system": "Windows 11", "python": "3.12.4", "memory_bytes": 17_000_000_000}
    odd = {"system": None, "python": "3.13.0", "memory_bytes": float("nan")}
    write(tmp_path, ada=doctor() | {"machine": machine}, ben=doctor() | {"machine": odd})
    write(tmp_path, cem=run("ok") | {"machine": machine})
    lines = CliRunner().invoke(main, ["class", str(tmp_path)]).stdout.splitlines()
    assert all(re.search(r" Windows 11  3\.12\.4  17 GB$", lines[row]) for row in (1, 3))
    assert re.search(r"\. {10,}3\.13\.0$", lines[2])


def test_how_many_questions_each_has_answered(tmp_path):
    """Of those who tell; the newest record counts."""
    rows = [{"notebook": f"{right}", "asked": 3, "right": right} for right in (2, 3)]
    early = [{"notebook": "a", "asked": 3, "right": 1}]
    first, then = ({"started": f"2026-03-01T1{hour}:00:00Z"} for hour in (4, 5))
    write(tmp_path, ada__1=doctor() | first | {"answers": early})
    write(tmp_path, ada__2=doctor() | then | {"answers": rows}, ben=doctor() | {"answers": []})
    write(tmp_path, cem=doctor() | {"answers": [{"notebook": "a", "asked": -1, "right": 10**9}]})
    write(tmp_path, dora=doctor() | {"answers": [{"notebook": "a", "asked": "3", "right": 0.5}]})
    result = CliRunner().invoke(main, ["class", str(tmp_path)])
    head, ada, ben = result.stdout.splitlines()[:3]
    assert (
        "  Right   System" in head and ada.endswith("  5 of 6") and not ben.rstrip()[-1].isdigit()
    )
    assert "answers[0].asked" in result.stdout.split("Skipped:")[1]
    assert "cem.json" in result.stdout and "dora.json" in result.stdout


def test_the_newest_record_counts_whatever_kind_it_is(tmp_path):
    old, new = ({"started": f"2026-03-0{day}T14:00:00Z"} for day in (1, 2))
    ok, failed = run("ok", "ok", "ok"), run("ok", "ok", "failed", failure="no memory")
    done, none = doctor(done=NOTEBOOKS[1:3]), doctor(done=[])
    write(
        tmp_path,
        **{"a__1": failed | old, "a__2": done | new},
        **{"b__1": done | old, "b__2": failed | new},
        **{"c__1": ok | old, "c__2": none | new},
        **{"d__1": doctor(Disk="full") | old, "d__2": done | new},
        **{"e__1": failed | old, "e__2": none | new},
    )
    people, _ = classroom.read(tmp_path)
    found = {person.name: (letters(person)[:4], person.help) for person in people}
    assert found == {
        "a": ("ooo.", []),
        "b": ("oox.", ["no memory"]),
        "c": ("o...", []),
        "d": ("ooo.", []),
        "e": ("o.x.", ["no memory"]),
    }


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("name", ["ada.json", "ada.json.txt", "ADA.JSON", "ada (1).json"])
def test_what_windows_makes_of_a_file(tmp_path, encoding, name):
    text = json.dumps(doctor(Disk="voll für heute"), ensure_ascii=False)
    (tmp_path / name).write_bytes(text.encode(encoding))
    (person,), skipped = classroom.read(tmp_path)
    assert person.name.lower() == "ada" and skipped == []
    assert person.help == ["Disk: voll für heute -> do this"]


def test_names_that_a_mac_writes_in_another_way_are_the_same(tmp_path):
    for form in ("NFC", "NFD"):
        write(tmp_path / "class", **{unicodedata.normalize(form, "jürgen"): doctor()})
    (tmp_path / "names.txt").write_bytes("Jürgen\r\n\r\n Ada Lovelace \r\n".encode("utf-16"))
    words = ["class", str(tmp_path / "class"), "--roster", str(tmp_path / "names.txt")]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0 and "1 attendee;" in result.stdout
    assert result.stdout.partition("Nothing has come from:\n")[2].split() == ["Ada", "Lovelace"]
    write(tmp_path / "class", zoe=doctor())
    result = CliRunner().invoke(main, words)
    assert result.stdout.partition("Not on the list:\n")[2].split() == ["zoe"]


@pytest.mark.parametrize("content", [None, b"a" * 2_000_000])
def test_a_list_of_names_that_is_none(tmp_path, content):
    write(tmp_path / "class", ada=doctor())
    if content:
        (tmp_path / "names.txt").write_bytes(content)
    words = ["class", str(tmp_path / "class"), "--roster", str(tmp_path / "names.txt")]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1 and result.stdout == "" and "names.txt" in result.stderr


def test_equal_problems_are_one(tmp_path):
    advice = {"Disk": "0.1 GB free, the course takes 0.3 GB"}
    write(tmp_path, ada=doctor(**advice), ben=doctor(Kernel="gone"), cem=doctor(**advice))
    write(tmp_path, dana=doctor(Disk="0.2 GB free, the course takes 0.3 GB"))
    text = classroom.text(*classroom.read(tmp_path))
    assert text.partition("Need help:\n")[2].splitlines() == [
        "  Disk: 0.1 GB free, the course takes 0.3 GB -> do this",
        "      ada, cem, dana",
        "  Kernel: gone -> do this",
        "      ben",
    ]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no pipes in folders")
def test_nothing_of_a_folder_stops_the_class(tmp_path):
    """Each file is answered with one line, within seconds and without much memory."""
    write(tmp_path, ada=doctor(), types=doctor(done=[{"a": 1}]) | {"machine": []})
    write(
        tmp_path, deep="[" * 200_000, deeper='{"a":' * 100_000, digits='{"a": ' + "9" * 6000 + "}"
    )
    write(tmp_path, nan='{"kind": "doctor", "checks": NaN, "done": []}', empty="", number="5")
    (tmp_path / "long.json").write_text('{"kind": "doctor", "done": [' + '"x",' * 1_000_000 + "1]}")
    with (tmp_path / "huge.json").open("wb") as file:
        file.truncate(10_000_000_000)
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "nowhere.json").symlink_to("gone")
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "notes.docx").write_text("notes")
    started = time.process_time()
    result = CliRunner().invoke(main, ["class", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert time.process_time() - started < 20
    skipped = result.stdout.partition("Skipped:\n")[2].splitlines()
    names = ("types", "deep", "deeper", "digits", "nan", "empty", "number", "long", "huge", "pipe")
    for name in (*(f"{name}.json" for name in (*names, "nowhere")), "notes.docx"):
        assert sum(f"/{name} " in f"{line} ".replace(":", " ") for line in skipped) == 1, name
    assert len(skipped) == len(names) + 2 and "1 attendee;" in result.stdout


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_what_may_not_be_read_is_said(tmp_path):
    write(tmp_path, ada=doctor(), ben=doctor(), cem__a=doctor())
    (tmp_path / "ben.json").chmod(0)
    (tmp_path / "cem").chmod(0)
    people, skipped = classroom.read(tmp_path)
    (tmp_path / "cem").chmod(0o700)
    assert [person.name for person in people] == ["ada"]
    assert len(skipped) == 2 and all("Permission denied" in line for line in skipped)


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
