"""The moving pictures: what they say, what moves when, and what stands where nothing moves."""

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from IPython.core.formatters import DisplayFormatter

from workshop_utils import pictures

N = 40
LINES = [f"{number / 10:.6f},{number:.6f},{number}" for number in range(N)]
SPACE = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def matrix():
    """Sums of several LEDs at several brightnesses, some of which never change."""
    numbers = np.random.default_rng(3)
    made = numbers.choice([0.0, 0.1, 0.2], size=(N, 5, 5), p=[0.6, 0.2, 0.2])
    made[:, 0, 0], made[:, 4, 4] = 0, 0.2
    made[5:30, 2, 2] = 0.1  # stays for long
    return made


def drawn(picture):
    return ElementTree.fromstring(picture.data)


def moves(text, name):
    """{class: (timing function, [(share of the time, declarations), ...])}, as browsers read it."""
    found = {}
    for part, timing in re.findall(rf"#{name} \.(\w+) \{{ animation: \S+ \S+ (\S+) inf", text):
        body = re.search(rf"@keyframes {name}-{part} \{{ (.*) \}}$", text, re.MULTILINE)[1]
        stops = re.findall(r"([\d.]+%|to|from) \{ (.*?) \}", body)
        places = {"from": 0.0, "to": 1.0}
        found[part] = (
            timing,
            [
                (places.get(at) if at in places else float(at[:-1]) / 100, said)
                for at, said in stops
            ],
        )
    return found


def at(stops, time):
    """What holds at a time in [0, 1) where states follow each other in steps."""
    return [said for place, said in stops if place <= time][-1]


def test_each_led_shines_when_it_should(matrix):
    picture = pictures.microbit(matrix, LINES)
    moving, root = moves(picture.data, "microbit"), drawn(picture)
    for y, x in np.ndindex(5, 5):
        (element,) = (part for part in root.iter() if part.get("class") == f"led{y}{x}")
        timing, stops = moving.get(f"led{y}{x}", ("steps(1)", None))
        assert timing == "steps(1)" and (stops is None) == (np.ptp(matrix[:, y, x]) == 0)
        for number in range(N):
            wanted = matrix[number, y, x] / 0.2
            said = at(stops, (number + 0.5) / N) if stops else f"opacity: {element.get('opacity')}"
            assert said == f"opacity: {wanted:.2g}"
        # Where nothing moves it is one moment, the same for all.
        assert float(element.get("opacity")) == pytest.approx(matrix[N // 4, y, x] / 0.2)


def test_the_line_that_comes_in_is_that_of_the_leds(matrix):
    picture = pictures.microbit(matrix, LINES)
    (window,) = (part for part in drawn(picture).iter(f"{SPACE}svg") if part.get("y"))
    (group,) = window
    bottom = float(window.get("height"))
    texts = {float(text.get("y")): text.text for text in group}

    def shown(scrolled):
        return [texts[y] for y in sorted(texts) if 0 < y - scrolled <= bottom]

    timing, stops = moves(picture.data, "microbit")["lines"]
    assert timing == f"steps({N})"
    (end,) = (
        float(re.search(r"translateY\(-(\d+)px\)", said)[1]) for place, said in stops if place
    )
    for number in range(N):
        assert shown(end * number / N) == [LINES[(number + i) % N] for i in range(-9, 1)]
    still = float(re.search(r"translate\(0 -(\d+)\)", group.get("transform"))[1])
    assert shown(still)[-1] == LINES[N // 4]


@pytest.mark.parametrize(
    "picture",
    [
        pictures.led(np.array([0, 128, 255, 128], np.uint8)),
        pictures.microbit(np.ones((1, 5, 5)), ["<b>&amp;"]),
        pictures.microbit(np.zeros((3, 5, 5)), LINES[:3]),
    ],
)
def test_a_picture_says_what_it_shows_and_moves_only_where_that_is_liked(picture):
    root = drawn(picture)
    ids = {part.get("id"): part for part in root.iter() if part.get("id")}
    assert root.get("role") == "img"
    for name in root.get("aria-labelledby").split():
        assert len(ids[name].text) > 20
    style = root.find(f"{SPACE}style").text
    liked = re.search(r"@media \(prefers-reduced-motion: no-preference\) \{(.*?)\n \}", style, re.S)
    assert "animation" in liked[1] and "animation" not in style.replace(liked[0], "")
    assert not list(root.iter(f"{SPACE}animate"))
    # On one page with others it changes nobody but itself.
    name = root.get("id")
    assert all(key.startswith(name) for key in ids)
    rules = re.findall(r"^ +(.*?) \{", style, re.MULTILINE)
    assert all(rule.startswith((f"#{name} ", f"@keyframes {name}-", "@media")) for rule in rules)


def test_a_microbit_names_the_curve():
    matrix = np.ones((len(LINES), 5, 5))
    assert "network's sine on" in pictures.microbit(matrix, LINES).alt
    other = pictures.microbit(matrix, LINES, curve="temperature")
    assert "network's temperature on" in other.alt and "sine" not in other.alt


def test_the_led_goes_through_every_brightness():
    picture = pictures.led(np.array([0, 128, 255], np.uint8), seconds=3)
    timing, stops = moves(picture.data, "led")["led"]
    assert timing == "linear" and "led-led 3s" in picture.data
    assert [said for _, said in stops] == [
        f"opacity: {v}" for v in ("0.00", "0.50", "1.00", "0.00")
    ]
    assert [place for place, _ in stops] == pytest.approx([0, 1 / 3, 2 / 3, 1], abs=1e-5)


def test_frames_that_equal_both_neighbours_are_left_out():
    said = pictures.frames(["a", "a", "a", "b", "a", "a"])
    stops = dict(re.findall(r"(\S+) \{ (\w) \}", said))
    assert stops == {"0%": "a", "33.3333%": "a", "50%": "b", "66.6667%": "a", "to": "a"}
    linear = np.interp(
        np.linspace(0, 1, 61), [0, 1 / 3, 1 / 2, 2 / 3, 1], [0, 0, 1, 0, 0]
    )  # as all seven would have it
    full = np.interp(np.linspace(0, 1, 61), np.arange(7) / 6, [0, 0, 0, 1, 0, 0, 0])
    assert np.allclose(linear, full)


@pytest.mark.parametrize(
    "matrix, lines",
    [(np.ones((2, 5, 5)), ["a"]), (np.ones((0, 5, 5)), []), (np.ones((1, 25)), ["a"])],
)
def test_what_is_no_picture_is_refused(matrix, lines):
    with pytest.raises(ValueError, match=r"shape \(n, 5, 5\)"):
        pictures.microbit(matrix, lines)


def test_where_it_is_not_shown_words_stand_in_its_place():
    """A notebook that JupyterLab does not trust has the text beside the picture, and no picture."""
    shown = pictures.led(np.array([0, 128, 255], np.uint8))
    data, metadata = DisplayFormatter().format(shown)
    assert data["image/svg+xml"] == shown.data
    (alt,) = metadata["image/svg+xml"].values()
    assert "swells and fades every 2 seconds" in alt and alt in data["text/plain"]
