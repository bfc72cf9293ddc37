"""Draw what an Arduino's sketch Wave prints: the serial plotter's curve, as a picture.

    simavr -m atmega328p -f 16000000 Wave.elf 2>&1 |
        .venv/bin/python tools/draw_serial.py > wave.svg

Reads lines such as y:0.71 from the standard input, also as simavr prints them, colours and all,
and ends after one turn of the sine, 100 lines. Writes an SVG to the standard output.
"""

import argparse
import math
import re
import sys
from string import Template

COUNT = 100  # lines for one turn of the sine
LEFT, WIDTH, MIDDLE, HEIGHT = 72, 600, 150, 92  # px: x of the first value, all; y = 0, y = 1

PICTURE = Template("""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 316" role="img"
 aria-labelledby="title description">
<title id="title">What an emulated Arduino Uno sends to the serial plotter</title>
<desc id="description">$count answers of the neural network for one turn of the sine, as dots, close
to the true sine, and the first lines that the sketch prints.</desc>
<style>
 text { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; fill: #93a4b8 }
 .name { font: 600 15px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #e8eef5 }
 .small { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif }
 .grid { stroke: #2a3a4e; stroke-width: 1 }
</style>
<rect width="720" height="316" rx="14" fill="#0f1924"/>
<text class="name" x="72" y="34">Serial plotter: Wave on an Arduino Uno, emulated by simavr</text>
<path class="grid" d="M72 58V242M222 58V242M372 58V242M522 58V242M672 58V242
 M72 58H672M72 104H672M72 150H672M72 196H672M72 242H672"/>
<text x="60" y="62" text-anchor="end">1</text><text x="60" y="154" text-anchor="end">0</text>
<text x="60" y="246" text-anchor="end">-1</text>
<polyline points="$sine" fill="none" stroke="#56b4e9" stroke-width="1.5"/>
<g fill="#ffb020">
$dots
</g>
<text x="72" y="272">$lines ...</text>
<text class="small" x="72" y="296"><tspan fill="#ffb020">●</tspan> y, from the board  <tspan
 fill="#56b4e9">—</tspan> sine</text>
</svg>
""")


def read(lines):
    """The numbers behind y: in lines, until there are enough for one turn. A list of str."""
    found = []
    for line in lines:
        value = re.search(r"y:(-?\d+\.\d+)", line)
        found += [value[1]] if value else []
        if len(found) == COUNT:
            return found
    sys.exit(f"There are {len(found)} lines such as y:0.71, and {COUNT} are needed.")


def draw(values):
    """The picture as text. values: as `read` returns them."""

    def place(number, y):
        return f"{LEFT + number / COUNT * WIDTH:.1f}", f"{MIDDLE - y * HEIGHT:.1f}"

    dots = [place(number, float(value)) for number, value in enumerate(values)]
    sine = [place(number, math.sin(number / COUNT * math.tau)) for number in range(COUNT + 1)]
    return PICTURE.substitute(
        count=len(values),
        sine=" ".join(f"{x},{y}" for x, y in sine),
        dots="\n".join(f'<circle cx="{x}" cy="{y}" r="3"/>' for x, y in dots),
        lines="  ".join(f"y:{value}" for value in values[:8]),
    )


def main():
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    sys.stdout.write(draw(read(sys.stdin)))


if __name__ == "__main__":
    main()
