"""The measurements in notebooks/data/: three sensors by their makers' equations, with noise and
with the bad rows that loggers really write.

.venv/bin/python tools/make_sensor_data.py             # writes the three CSV files
.venv/bin/python tools/make_sensor_data.py --check     # says whether they would be others
"""

import argparse
import math
import random
import sys

from workshop_utils import files, paths

FOLDER = paths.NOTEBOOKS_DIR / "data"
CODES = 1023  # the largest code of an ADC of 10 bits, at its supply voltage


def thermistor():
    """An NTC thermistor in a divider, beside a reference thermometer in a chamber that warms up.

    Vishay NTCLE100E3 with 10 kΩ at 25 °C and B25/85 = 3977 K: ln(R / R25) = A + B/T + C/T² + D/T³,
    with the coefficients that its data sheet (document 29049) gives for this B. It lies between the
    ADC's pin and ground, and a resistor of 10 kΩ between the pin and the supply.
    """
    chance = random.Random(1)
    for row in range(1000):
        celsius = -20 + 120 * row / 999
        kelvin = celsius + 273.15
        logarithm = -14.6337 + 4791.842 / kelvin - 115334 / kelvin**2 - 3.730535e6 / kelvin**3
        ratio = math.exp(logarithm)  # of its resistance to that at 25 °C, and so to the resistor's
        code = round(CODES * ratio / (ratio + 1) + chance.gauss(0, 1))
        reading = celsius + chance.gauss(0, 0.2)
        yield [f"{code}", f"{reading:.1f}"]


def spoil_thermistor(rows):
    """What is wrong with ten of them."""
    for place in (140, 361):
        rows[place][0] = f"{CODES}"  # the thermistor's wire is off,
    rows[788][0] = "0"  # or touches ground
    rows[95][1], rows[512][0], rows[633][1] = "", "", "ERR"
    rows[330][1] = "85.0"  # what a DS18B20 says before its first conversion
    for place in (404, 700):
        rows[place][1] = f"{float(rows[place][1]) * 1.8 + 32:.1f}"  # °F
    rows[871][1] = f"{float(rows[871][1]) + 273.15:.1f}"  # K


def battery():
    """A lithium-ion cell of 850 mAh that is discharged with 0.1 A: its voltage, and its charge.

    Open circuit voltage and series resistance by charge are those of Chen and Rincón-Mora,
    "Accurate electrical battery model capable of predicting runtime and I-V performance", IEEE
    Transactions on Energy Conversion 21 (2006), for a TCL PL-383562.
    """
    chance = random.Random(2)
    for row in range(800):
        charge = 1 - row / 799
        open_circuit = -1.031 * math.exp(-35 * charge) + 3.685
        open_circuit += 0.2156 * charge - 0.1178 * charge**2 + 0.3201 * charge**3
        resistance = 0.1562 * math.exp(-24.37 * charge) + 0.07446
        volts = open_circuit - 0.1 * resistance + chance.gauss(0, 0.002)
        yield [f"{volts:.3f}", f"{100 * charge + chance.gauss(0, 0.5):.1f}"]


def spoil_battery(rows):
    """What is wrong with four of them."""
    rows[222][0] = "0.000"  # the clip is off
    rows[300][0], rows[450][1] = "", "-"
    rows[611][1] = f"{float(rows[611][1]) / 100:.1f}"  # a share in place of per cent


def humidity():
    """A capacitive humidity sensor beside a reference instrument, at many temperatures.

    Honeywell HIH-4030, by its data sheet: the voltage is 0.0062 RH + 0.16 of the supply, and what
    looks like RH there is the true one times 1.0546 - 0.00216 T, T in °C.
    """
    chance = random.Random(3)
    for _ in range(1000):
        celsius, true = chance.uniform(5, 45), chance.uniform(10, 90)
        looks_like = true * (1.0546 - 0.00216 * celsius)
        code = round(CODES * (0.0062 * looks_like + 0.16) + chance.gauss(0, 1))
        thermometer = celsius + chance.gauss(0, 0.3)
        yield [f"{code}", f"{thermometer:.1f}", f"{true + chance.gauss(0, 0.5):.1f}"]


def spoil_humidity(rows):
    """What is wrong with eight of them."""
    rows[77][0], rows[540][0] = "0", f"{CODES}"  # a wire is off
    rows[150][1], rows[311][2], rows[620][0] = "", "ERR", "nan"
    rows[402][2], rows[808][2] = "0.5", "0.0"  # the instrument was starting
    rows[933][2] = "100.0"  # dew on it


SENSORS = {
    "thermistor.csv": ("adc (code),temperature (°C)", thermistor, spoil_thermistor),
    "battery.csv": ("voltage (V),charge (%)", battery, spoil_battery),
    "humidity.csv": ("adc (code),temperature (°C),humidity (%)", humidity, spoil_humidity),
}


def make(name):
    """The text of the CSV file of that name."""
    header, measure, spoil = SENSORS[name]
    rows = list(measure())
    spoil(rows)
    return "".join(f"{line}\n" for line in [header, *map(",".join, rows)])


def main():
    """Write the files, or compare them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if others")
    options = parser.parse_args()
    for name in SENSORS:
        path, text = FOLDER / name, make(name)
        if not options.check:
            print(files.write(path, text))
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            sys.exit(f"{paths.display_path(path)} is another one: run tools/make_sensor_data.py.")


if __name__ == "__main__":
    main()
