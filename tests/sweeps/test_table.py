"""The table of a sweep: lines that are appended, and what is left of them."""

import csv
import itertools

import pytest

from workshop_utils.errors import WorkshopError
from workshop_utils.sweeps import table

COLUMNS = ["run", "status", "SEED", "error"]


def row(number, status="ok", **more):
    return {"run": number, "status": status, "SEED": number, "error": ""} | more


def numbers(path):
    return [int(one["run"]) for one in table.read(path)]


def test_a_row_is_one_line_and_the_others_are_not_touched(tmp_path):
    path = tmp_path / table.NAME
    with table.Table(path, COLUMNS) as results:
        file, sizes = path.stat().st_ino, [path.stat().st_size]
        for number in (3, 1, 2):
            results.add(row(number))
            assert path.stat().st_ino == file, "It was written anew."
            sizes.append(path.stat().st_size)
        assert {b - a for a, b in itertools.pairwise(sizes)} == {len("3,ok,3,\n")}
        assert numbers(path) == [3, 1, 2], "Whoever looks meanwhile sees whole rows."
    assert numbers(path) == [1, 2, 3], "At the end they are in order."
    with path.open(newline="") as written:
        assert [int(one["run"]) for one in csv.DictReader(written)] == [1, 2, 3]


def test_of_a_run_that_is_done_again_the_last_row_counts(tmp_path):
    path = tmp_path / table.NAME
    with table.Table(path, COLUMNS) as results:
        results.add(row(1, "failed", error='no, "bad" luck'))
        results.add(row(2))
    with table.Table(path, COLUMNS) as results:
        assert [one["error"] for one in table.read(path)] == ['no, "bad" luck', ""]
        results.add(row(1))
        assert [one["status"] for one in table.read(path)] == ["ok", "ok"]
    assert len(path.read_text().splitlines()) == 3


@pytest.mark.parametrize("cut", range(1, len('3,failed,3,"a, b"\n') + 1))
def test_a_line_that_breaks_off_hurts_no_other(tmp_path, cut):
    path = tmp_path / table.NAME
    with table.Table(path, COLUMNS) as results:
        for number in (1, 2):
            results.add(row(number))
        results.add(row(3, "failed", error="a, b"))
    path.write_bytes(path.read_bytes()[:-cut])
    assert numbers(path) == [1, 2]
    with table.Table(path, COLUMNS) as results:
        results.add(row(4))
    assert numbers(path) == [1, 2, 4]


def test_a_table_gets_the_columns_of_today(tmp_path):
    path = tmp_path / table.NAME
    path.write_text("run,status,SEED\n2,ok,5\n")
    with table.Table(path, COLUMNS) as results:
        results.add(row(1))
    assert table.read(path)[1] == {"run": "2", "status": "ok", "SEED": "5", "error": ""}


def test_a_table_that_is_deleted_or_replaced_meanwhile(tmp_path):
    path = tmp_path / table.NAME
    for replace in (False, True):
        with (
            pytest.raises(WorkshopError, match="was deleted, moved or replaced"),
            table.Table(path, COLUMNS) as results,
        ):
            path.unlink()
            if replace:
                (tmp_path / "other").write_text("theirs")
                (tmp_path / "other").rename(path)
            results.add(row(1))
        assert path.exists() is replace
    assert path.read_text() == "theirs"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a,b\n1,2\n",
        "run,status\n0,ok\n",
        "run,status\n100001,ok\n",
        f"run,status\n{'9' * 5000},ok\n",
        "run,status\n1\n",
        "run,status\n1,ok,more\n",
        "run,status\n1,\n",
        f"run,status\n1,{'x' * 200_000}\n",
        "run,status\n" + "1,ok\n" * 200_002,
        "run,status\n1,ok" + ",more" * 2_000_000 + "\n",
    ],
    ids=lambda text: f"{len(text)} characters",
)
def test_another_file_is_one_sentence(tmp_path, text):
    path = tmp_path / table.NAME
    path.write_text(text)
    if text == "":
        assert table.read(path) == []
        return
    with pytest.raises(WorkshopError, match="is not the table of a sweep"):
        table.read(path)


def test_a_huge_file_is_not_read(tmp_path):
    path = tmp_path / table.NAME
    path.write_text("run,status\n1,ok\n")
    with path.open("r+b") as file:
        file.truncate(table.MOST_BYTES + 1)  # takes no room on the disk
    with pytest.raises(WorkshopError, match="is not the table of a sweep"):
        table.read(path)
