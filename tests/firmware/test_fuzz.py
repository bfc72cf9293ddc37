"""Models with something wrong: short runs find nothing, and what was once found stays mended.

For long runs: .venv/bin/python tools/fuzz_engine.py --help
"""

import fuzzing
import host
import pytest

from workshop_utils import inference


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    program = tmp_path_factory.mktemp("fuzz") / "fuzz_engine"
    problem = fuzzing.build(program)
    if problem:
        pytest.skip(problem)
    return program


def test_a_short_run_finds_nothing(target):
    corpus = target.parent / "corpus"
    fuzzing.write_corpus(corpus)
    limits = ["-runs=50000", "-seed=1", f"-max_len={fuzzing.LONGEST}"]
    result = fuzzing.fuzz(target, *limits, "-timeout=10", "-print_final_stats=1", corpus)
    assert result.returncode == 0, result.stderr[-4000:]
    assert fuzzing.executions(result) > len(list(corpus.iterdir()))


def test_what_was_found_stays_mended(target):
    assert fuzzing.REGRESSIONS
    result = fuzzing.fuzz(target, *fuzzing.REGRESSIONS)
    assert result.returncode == 0, result.stderr[-4000:]


@pytest.mark.skipif(inference.tflm_problem() is not None, reason=str(inference.tflm_problem()))
def test_what_the_engine_accepts_tflm_answers_alike(tmp_path):
    program = tmp_path / "engine_runner.exe"
    host.build(program, ["tests/engine_runner.cc", *fuzzing.ENGINE])
    counts, found = fuzzing.differences(program, range(500))
    assert not found
    assert counts["models"] == 500 and counts["accepted"] > 50
