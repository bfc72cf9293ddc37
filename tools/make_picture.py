"""The README's moving picture: the emulated chip's LED, its wave, and what its console prints.

    .venv/bin/python tools/make_picture.py            # makes docs/wave.svg
    .venv/bin/python tools/make_picture.py --check    # exit code 1 if it would be another one

Builds the firmware with the reference model and runs it on the emulated board. The picture moves
with CSS alone, and so also inside an <img>; for readers who ask for less motion it stands still.
"""

import argparse
import math
import os
import sys
import tempfile
from pathlib import Path
from string import Template

from workshop_utils import pictures

PICTURE_FILE = Path(__file__).resolve().parents[1] / "docs" / "wave.svg"
LEFT, WIDTH, MIDDLE, HEIGHT = 336, 500, 148, 88  # the scope, px: origin of x, 2 pi; y = 0, y = 1

BODY = Template("""\
<radialGradient id="wave-halo">
 <stop offset="0" stop-color="#ffc94d" stop-opacity=".95"/>
 <stop offset=".3" stop-color="#ffb020" stop-opacity=".5"/>
 <stop offset="1" stop-color="#ffb020" stop-opacity="0"/>
</radialGradient>
<g>
 <rect x="28" y="28" width="232" height="232" rx="12" fill="#14453f" stroke="#1f6b60"/>
 <g fill="none" stroke="#1f6b60" stroke-width="2">
  <path d="M144 118V92 M120 172H84L60 148V60 M168 172h36l24 24v40 M144 210v30"/>
  <path d="M120 156H96L76 136V44H110 M168 156h28l20-20V60"/>
 </g>
 <g fill="#0f1924" stroke="#c9a24b" stroke-width="3">
  <circle cx="44" cy="44" r="6"/><circle cx="244" cy="44" r="6"/>
  <circle cx="44" cy="244" r="6"/><circle cx="244" cy="244" r="6"/>
 </g>
 <path d="$pins" stroke="#b8c4d0" stroke-width="4"/>
 <rect x="98" y="126" width="92" height="92" rx="5" fill="#1a1f26" stroke="#343c47"/>
 <circle cx="110" cy="138" r="3" fill="#4a5563"/>
 <text class="name" x="144" y="171" text-anchor="middle">Cortex-M4</text>
 <text class="small" x="144" y="190" text-anchor="middle">emulated</text>
 <rect x="130" y="62" width="28" height="28" rx="4" fill="#dfe6ee"/>
 <circle cx="144" cy="76" r="10" fill="#6b5521"/>
 <g class="led" opacity="$still"><circle cx="144" cy="76" r="62" fill="url(#wave-halo)"/>
 <circle cx="144" cy="76" r="10" fill="#ffdf8f"/></g>
</g>
<g>
 <path stroke="#2a3a4e" d="M336 60V236 M461 60V236 M586 60V236 M711 60V236 M836 60V236
  M336 60H836 M336 104H836 M336 148H836 M336 192H836 M336 236H836"/>
 <text x="324" y="64" text-anchor="end">1</text><text x="324" y="152" text-anchor="end">0</text>
 <text x="324" y="240" text-anchor="end">-1</text>
 <text x="336" y="256" text-anchor="middle">0</text><text x="586" y="256"
 text-anchor="middle">π</text><text x="836" y="256" text-anchor="middle">2π</text>
 <text class="name" x="336" y="42">The network's answers, as the chip computes them</text>
 <text class="small" x="836" y="42" text-anchor="end"><tspan fill="#56b4e9">—</tspan> sine</text>
 <polyline points="$sine" fill="none" stroke="#56b4e9" stroke-width="1.5"/>
<g fill="#ffb020">
$answers
</g>
 <g class="head" transform="translate($head_x $head_y)"><circle r="13" fill="#ffb020"
 opacity=".3"/><circle r="5.5" fill="#ffe9b8"/></g>
</g>
<text class="dim" x="336" y="283">x,y,led</text>
$console
<g>
 <text class="figure" x="28" y="306">$instructions</text>
 <text class="small" x="28" y="326">instructions per answer</text>
 <text class="figure" x="200" y="306">$equal of 256</text>
 <text class="small" x="200" y="326">equal to TFLM's</text>
 <text class="figure" x="650" y="306">$flash kB</text>
 <text class="small" x="650" y="326">flash</text>
 <text class="figure" x="760" y="306">$ram kB</text>
 <text class="small" x="760" y="326">RAM</text>
</g>""")


def place(x, y):
    """Where a point of the curve lies in the picture, px: x in radians, y in [-1, 1]."""
    return f"{LEFT + x / math.tau * WIDTH:.1f}", f"{MIDDLE - y * HEIGHT:.1f}"


def draw(rows, costs, equal):
    """The picture as text.

    rows: a tuple (x, y, led) per inference of one turn. costs: what `firmware.costs` returned.
    equal: how many of the 256 answers are TFLM's.
    """
    count, still = len(rows), pictures.still(rows)
    places = [place(x, y) for x, y, _ in rows]
    sine = [place(step * math.tau / 60, math.sin(step * math.tau / 60)) for step in range(61)]
    answers = [
        f'<circle class="answer" cx="{x}" cy="{y}" r="3.2"'
        f' style="animation-delay:{(number / count - 1) * pictures.SECONDS:.2f}s"/>'
        for number, (x, y) in enumerate(places)
    ]
    lines = [f"{x:.6f},{y:.6f},{led}" for x, y, led in rows]
    pins = [f"M{x} 122V126M{x} 218V222" for x in range(107, 190, 15)]
    pins += [f"M94 {y}H98M190 {y}H194" for y in range(135, 218, 15)]
    body = BODY.substitute(
        still=f"{rows[still][2] / 255:.2f}",
        head_x=places[still][0],
        head_y=places[still][1],
        sine=" ".join(f"{x},{y}" for x, y in sine),
        answers="\n".join(answers),
        console=pictures.console(lines, LEFT, 287, rows=3, width=270),
        pins="".join(pins),
        equal=equal,
        instructions=f"{costs['instructions']:,.0f}",
        flash=f"{costs['flash'] / 1000:.1f}",
        ram=f"{costs['ram'] / 1000:.1f}",
    )
    return pictures.document(
        "wave",
        "A neural network draws a sine on an emulated microcontroller",
        "Left, a chip with an LED that gets brighter and darker. Right, the network's "
        f"{count} answers for one turn of the sine, close to the true sine. Below, the lines that "
        "the chip prints.",
        (880, 352),
        body,
        [
            ("answer", "linear", "0% { opacity: 1 } 70%, 100% { opacity: .22 }"),
            ("led", "linear", pictures.frames([f"opacity: {led / 255:.2f}" for _, _, led in rows])),
            (
                "head",
                "steps(1)",
                pictures.frames([f"transform: translate({x}px, {y}px)" for x, y in places]),
            ),
            pictures.scrolled(lines),
        ],
    )


def run():
    """The picture of a run of the firmware with the reference model."""
    from workshop_utils import emulator, firmware

    image = firmware.build(cycles=1)
    result = emulator.run(image.wave)
    equal = firmware.equal_answers(image.sweep, firmware.model_bytes(), "tflm")
    rows = list(result.inferences.itertuples(index=False, name=None))
    return draw(rows, firmware.costs(image.wave, result), equal)


def main():
    """Make the picture, or say whether it is the one that is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing, exit with 1 instead")
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as home:
        os.environ["WORKSHOP_HOME"] = home  # where no notebook has written a model
        text = run()
    if check:
        sys.exit(PICTURE_FILE.read_text(encoding="utf-8") != text)
    PICTURE_FILE.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
