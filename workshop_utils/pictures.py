"""Moving pictures of boards, as SVG: an LED, a micro:bit with its console. From notebook 06.

They move with CSS alone, and so in a notebook, on its page and in an <img>. The picture that stands
still is the one without CSS: for readers who ask for less motion, and where styles are left out.
Each says in words what it shows, and its background is its own, for light pages and dark ones.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from xml.etree import ElementTree

import numpy as np
from numpy.typing import ArrayLike

SECONDS = 5.0  # for once through a curve, such as a turn of the sine; a board takes two
LINE = 17  # px from one line of a console to the next

# By the classes of what is written. Where styles are left out, text is dark and small, but there.
_TEXT = {
    "": "font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; fill: #93a4b8",
    ".dim": "fill: #6f8299",
    ".name": 'font: 600 15px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #e8eef5',
    ".small": 'font: 13px system-ui, -apple-system, "Segoe UI", sans-serif',
    ".figure": 'font: 600 17px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #e8eef5',
}


def frames(states: Sequence[str]) -> str:
    """The body of a CSS @keyframes rule: one state after the other in even steps, and the first.

    states: CSS declarations. What is equal to both of its neighbours is left out.
    """
    share = 100 / len(states)
    around = [None, *states, states[0]]
    stops = [
        f"{number * share:.6g}% {{ {state} }}"
        for number, state in enumerate(states)
        if not around[number] == state == around[number + 2]
    ]
    return " ".join([*stops, f"to {{ {states[0]} }}"])


def console(lines: Sequence[str], left: int, top: int, rows: int, width: int) -> str:
    """A window, `rows` lines high, over lines of text: an SVG group of class 'lines' inside it.

    left, top, width: of the window, px. One line after the other comes in at the bottom, if `moves`
    of it are part of the document. Without, it shows the lines up to the one at `still`.
    """
    texts = [
        f'<text x="0" y="{(number + 1) * LINE - 4}" fill="#93a4b8">{escape(line)}</text>'
        for number, line in enumerate((*_before(lines, rows - 1), *lines))
    ]
    return (
        f'<svg x="{left}" y="{top}" width="{width}" height="{rows * LINE}" overflow="hidden">'
        f'<g class="lines" transform="translate(0 -{still(lines) * LINE})">\n'
        + "\n".join(texts)
        + "\n</g></svg>"
    )


def scrolled(lines: Sequence[str]) -> tuple[str, str, str]:
    """What moves the lines of a `console`, for `document`."""
    end = f"to {{ transform: translateY(-{len(lines) * LINE}px) }}"
    return "lines", f"steps({len(lines)})", f"from {{ transform: none }} {end}"


def _before(lines: Sequence[str], count: int) -> list[str]:
    """The lines that come before the first one where all repeat for ever."""
    return [lines[number % len(lines)] for number in range(-count, 0)]


def still(states: Sequence[object]) -> int:
    """Which one shows where nothing moves: at a quarter, where a sine is at its top."""
    return len(states) // 4


def document(
    name: str,
    title: str,
    description: str,
    size: tuple[int, int],
    body: str,
    moves: Iterable[tuple[str, str, str]],
    seconds: float = SECONDS,
    style: str = "",
) -> str:
    """An SVG as text.

    name: an id that no other picture on the same page has. title, description: what it shows, in
    words. size: width and height, px. moves: (class, timing function, body of @keyframes) of what
    moves in the body, once in `seconds` and for ever. style: more CSS; $name stands for the name.
    """
    moves = list(moves)
    animations = "\n".join(
        f"  #{name} .{part} {{ animation: {name}-{part} {seconds:g}s {timing} infinite }}"
        for part, timing, _ in moves
    )
    texts = "\n".join(f" #{name} text{part} {{ {look} }}" for part, look in _TEXT.items())
    keyframes = "\n".join(f" @keyframes {name}-{part} {{ {body} }}" for part, _, body in moves)
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" id="{name}" viewBox="0 0 {size[0]} {size[1]}" role="img"
 width="{size[0]}" style="max-width: 100%" aria-labelledby="{name}-title {name}-description">
<title id="{name}-title">{escape(title)}</title>
<desc id="{name}-description">{escape(description)}</desc>
<style>
{texts}
 @media (prefers-reduced-motion: no-preference) {{
{animations}
{style}
 }}
{keyframes}
</style>
<rect width="{size[0]}" height="{size[1]}" rx="14" fill="#0f1924"/>
{body}
</svg>
"""


@dataclass(frozen=True)
class Picture:
    """A picture for a notebook. data: an SVG, text. alt: what it shows, in words.

    The words are the picture's alternative text, and stand in its place where it is not shown:
    JupyterLab shows no SVG that was stored by somebody else.
    """

    data: str
    alt: str

    def _repr_svg_(self) -> tuple[str, dict[str, str]]:
        return self.data, {"alt": self.alt}

    def __repr__(self) -> str:
        return f"[Picture, shown when the cell is run] {self.alt}"


def _svg(text: str) -> Picture:
    """A `document` as a notebook shows it."""
    root = ElementTree.fromstring(text)
    words = [root.findtext(f"{{http://www.w3.org/2000/svg}}{part}") for part in ("title", "desc")]
    return Picture(text, ". ".join(filter(None, words)))


def led(brightness: ArrayLike, seconds: float = 2.0) -> Picture:
    """An LED that goes through `brightness` (0 to 255, shape (n,)) once in `seconds`, for ever."""
    levels = np.asarray(brightness)
    values = [f"{value / 255:.2f}" for value in levels]
    high, low = (seconds * find(levels) / levels.size for find in (np.argmax, np.argmin))
    body = (
        f'<g class="led" opacity="{values[still(values)]}">'
        '<circle cx="90" cy="60" r="44" fill="#E69F00" opacity="0.35"/></g>'
        '<circle cx="90" cy="60" r="24" fill="#5a4a20"/>'
        f'<g class="led" opacity="{values[still(values)]}">'
        '<circle cx="90" cy="60" r="24" fill="#ffd75e"/></g>'
    )
    text = document(
        "led",
        "The LED of the emulated board",
        f"It swells and fades every {seconds:g} seconds, from {levels.min()} to {levels.max()} of "
        f"255: brightest after {high:.1f} s, darkest after {low:.1f} s.",
        (180, 120),
        body,
        [("led", "linear", frames([f"opacity: {value}" for value in values]))],
        seconds,
    )
    return _svg(text)


def microbit(
    matrix: ArrayLike, lines: Sequence[str], seconds: float = SECONDS, curve: str = "sine"
) -> Picture:
    """A micro:bit whose 5 x 5 LEDs go through `matrix` once in `seconds`, beside its console.

    matrix: how bright each LED is, from the top left, shape (n, 5, 5), in any unit: the brightest
    one shines as it can. lines: of the console, one for each of the n. curve: what they draw.
    Raises ValueError if there are none, or not as many lines as pictures.
    """
    matrix = np.asarray(matrix, dtype=float)
    if matrix.ndim != 3 or matrix.shape[1:] != (5, 5) or not 0 < len(matrix) == len(lines):
        raise ValueError("matrix must have the shape (n, 5, 5), and lines must be n of them.")
    opacity = matrix / (matrix.max() or 1)
    dots, moves = [], [scrolled(lines)]
    for y, x in np.ndindex(5, 5):
        values = [f"{value:.2g}" for value in opacity[:, y, x]]
        place = f'x="{89 + 28 * x}" y="{62 + 28 * y}" width="10" height="16" rx="2"'
        dots.append(f'<rect {place} fill="#3a2226"/>')
        dots.append(
            f'<g class="led{y}{x}" opacity="{values[still(values)]}"><circle cx="{94 + 28 * x}" '
            f'cy="{70 + 28 * y}" r="22" fill="url(#microbit-halo)"/>'
            f'<rect {place} fill="#ff8a7d"/></g>'
        )
        if len(set(values)) > 1:
            moves.append((f"led{y}{x}", "steps(1)", frames([f"opacity: {v}" for v in values])))
    rings = "".join(
        f'<circle cx="{x}" cy="238" r="13" fill="#0f1924" stroke="#c9a24b" stroke-width="6"/>'
        for x in range(46, 260, 52)
    )
    body = f"""\
<radialGradient id="microbit-halo"><stop offset="0" stop-color="#ff4136" stop-opacity=".8"/>
<stop offset="1" stop-color="#ff4136" stop-opacity="0"/></radialGradient>
<path d="M44 24H256a16 16 0 0 1 16 16V258H28V40a16 16 0 0 1 16-16z" fill="#20262f"
 stroke="#3b4653"/>
<path d="M28 222H272V258H28z" fill="#c9a24b" opacity=".35"/>{rings}
<g fill="#0b0f14" stroke="#5a6675" stroke-width="3"><circle cx="52" cy="126" r="13"/>
<circle cx="248" cy="126" r="13"/></g>
<text class="small" x="52" y="106" text-anchor="middle" fill="#93a4b8">A</text>
<text class="small" x="248" y="106" text-anchor="middle" fill="#93a4b8">B</text>
{"".join(dots)}
<text class="name" x="304" y="50" fill="#e8eef5">The board's serial port</text>
<text class="dim" x="304" y="76" fill="#6f8299">x,y,led</text>
{console(lines, 304, 84, 10, 230)}"""
    text = document(
        "microbit",
        f"A micro:bit shows the network's {curve} on its LEDs",
        "Left, the board's 5 x 5 LEDs, of which one shines in each column: a wave that runs from "
        "right to left. Right, the lines that the board prints meanwhile: x, the network's answer "
        "y, and the brightness.",
        (548, 282),
        body,
        moves,
        seconds,
    )
    return _svg(text)
