"""The engine's multipliers and its scaling by themselves, against TFLM's arithmetic in Python."""

import host
import numpy as np
import pytest
import reference

FLOAT = np.finfo(np.float32)
MOST = 2**31 - 1


@pytest.fixture(scope="module")
def scaled(tmp_path_factory):
    """f(scales, sums) -> for each row of three scales and each sum (significand, shift, result).

    None where the scales give no multiplier.
    """
    program = tmp_path_factory.mktemp("arithmetic") / "arithmetic_runner.exe"
    host.build(program, ["tests/arithmetic_runner.cc", "engine/compact/arithmetic.cc"])

    def run(scales, sums):
        bits = np.asarray(scales, np.float32).view(np.uint32)
        lines = [f"{a} {b} {c} {n}\n" for (a, b, c), n in zip(bits, sums, strict=True)]
        result = host.run(program, stdin="".join(lines).encode())
        assert result.returncode == 0, result.stderr.decode()
        rows = [line.split() for line in result.stdout.decode().splitlines()]
        return [None if row == ["none"] else tuple(map(int, row)) for row in rows]

    return run


def expected(scales, number):
    """What `scaled` should give for one row: by the rules of TFLM and of arithmetic.h."""
    usable = np.isfinite(scales) & (np.asarray(scales) >= FLOAT.tiny)  # normal and positive
    if not usable.all():
        return None
    s_in, s_w, s_out = np.float32(scales).tolist()
    significand, shift = reference.quantize_multiplier(s_in * s_w / s_out)
    if shift > 30:
        return None
    return significand, shift, reference.scale(number, significand, shift)


def limited(sums, scales):
    """The sums, made smaller where the shift to the left would take them out of 32 bits."""
    left = np.ceil(np.log2(np.prod(scales[:, :2], axis=1, dtype=float) / scales[:, 2])) + 1
    return np.trunc(sums / 2.0 ** np.clip(left, 0, 31)).astype(int).tolist()


def test_random_scales_and_sums(scaled):
    rng = np.random.default_rng(1)
    s_in, s_out = 10 ** rng.uniform(-6, 4, (2, 20_000))
    s_w = s_out / s_in * 2.0 ** rng.uniform(-34, 30, 20_000)  # shifts of all sizes
    scales = np.stack([s_in, s_w, s_out], axis=1).astype(np.float32)
    magnitudes = 2 ** rng.uniform(0, 31, 20_000) - 1
    sums = limited(rng.choice([-1, 1], 20_000) * magnitudes, scales)
    results = scaled(scales, sums)
    assert results == [expected(s, n) for s, n in zip(scales, sums, strict=True)]
    assert {shift for _, shift, _ in results} >= set(range(-31, 30))
    assert (0, 0, 0) in results


def test_powers_of_two_and_halves(scaled):
    """Where both roundings meet ties, multipliers that are exact, and shifts to their ends."""
    shifts = range(-33, 34)
    numbers = [0, 1, 2, 3, 5, 7, 2**15, 3 * 2**20, 2**30, 2**30 + 1, MOST]
    rows = [
        ((1.0, 2.0**shift * odd, 1.0), sign * (number >> max(shift + 2, 0)))
        for shift in shifts
        for odd in (0.5, 0.75, np.nextafter(np.float32(1), np.float32(0)))
        for number in numbers
        for sign in (1, -1)
    ]
    rows = [(np.float32(scales), number) for scales, number in rows]
    scales, sums = zip(*rows, strict=True)
    results = scaled(scales, sums)
    assert results == [expected(*row) for row in rows]
    assert None in results and (2**30, 30, 0) in results


@pytest.mark.parametrize(
    "significands",
    [
        (12358003, 12682079, 13325491),  # halfway between two of 31 bits, but only in double
        (14861073, 13074745, 11581465),  # 1 - 2**-41.7, which rounds up to a power of two
    ],
)
def test_multipliers_that_only_just_round_up(scaled, significands):
    scales = np.float32([significands]) * np.float32(2.0**-20)
    assert scaled(scales, [10**6]) == [expected(scales[0], 10**6)]
    exact = significands[0] * significands[1] / significands[2] / 2**20
    significand, shift, _ = scaled(scales, [10**6])[0]
    assert significand * 2.0 ** (shift - 31) > exact


def test_the_least_of_all_sums(scaled):
    """-2^31 has no positive twin."""
    rows = [(np.float32([1, 2.0**-shift * 0.7, 1]), -(2**31)) for shift in range(34)]
    scales, sums = zip(*rows, strict=True)
    assert scaled(scales, sums) == [expected(*row) for row in rows]


@pytest.mark.parametrize("place", range(3))
def test_what_is_no_scale(scaled, place):
    bad = [0, -0.0, -1, np.nan, np.inf, -np.inf, FLOAT.smallest_subnormal]
    bad += [np.nextafter(FLOAT.tiny, np.float32(0)), -FLOAT.tiny]
    scales = np.ones((len(bad), 3), np.float32)
    scales[:, place] = bad
    assert scaled(scales, [1] * len(bad)) == [None] * len(bad)


def test_scales_at_the_ends_of_float32(scaled):
    ends = np.float32([FLOAT.tiny, 1, FLOAT.max])
    scales = np.stack(np.meshgrid(ends, ends, ends), -1).reshape(-1, 3)
    results = scaled(scales, [1] * len(scales))
    assert results == [expected(row, 1) for row in scales]
    assert None in results and (0, 0, 0) in results and (2**30, 1, 1) in results
