"""Whether what the notebooks say is true: twelve runs of the course, every claim checked in each.

    .venv/bin/python benchmarks/truth.py
    .venv/bin/python benchmarks/truth.py -p NEURONS 256 -p LAYERS 4    # one run, with these

A claim is a sentence of a notebook about what a run shows. Beside it stands what must hold for it
to be true: Python, which the notebook's own kernel evaluates after the last cell, so that it sees
what the cells have computed. Where the sentence begins with "if", so does what must hold. Prints a
line per run, and exits with 1 if a cell fails or a claim is contradicted.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import nbformat

from workshop_utils.errors import WorkshopError
from workshop_utils.paths import Home
from workshop_utils.running import course, notebooks

SETS = (
    {},
    {"SEED": 7, "NOISE": 0.5},
    {"SEED": 23, "SAMPLES": 5000},
    {"EPOCHS": 1, "INFERENCES_PER_CYCLE": 1},
    {"EPOCHS": 30},
    {"SAMPLES": 100},
    {"SAMPLES": 10, "REPRESENTATIVE": 1, "EPOCHS": 2},
    {"NOISE": 0.0},
    {"NEURONS": 2, "LAYERS": 1},
    {"NEURONS": 64, "LAYERS": 4},
    {"REPRESENTATIVE": 1},
    {"REPRESENTATIVE": 10, "BATCH_SIZE": 1024},
)
TRUE, CONTRADICTED = "True: ", "Contradicted: "

# {notebook: {sentence: what must hold}}. Sentences are pieces of prose, or of what a cell prints.
CLAIMS = {
    "02": {
        "Every dot lies exactly on the curve": "np.allclose(y_values - noise, np.sin(x_values), atol=1e-5)",
        "Each set is spread over the whole range": "all("
        "np.ptp(part) > 5 for part in (x_train, x_test, x_validate) if part.size >= 20)",
        "Where there is some, some error remains": "(np.mean((y_test - np.sin(x_test)) ** 2) > 0) == (NOISE > 0)",
        "on so few samples it may be more or less": "0.2 * NOISE**2 <= "
        "np.mean((y_test - np.sin(x_test)) ** 2) <= 4 * NOISE**2 or x_test.size < 20",
        "had we cut sorted samples": "np.ptp(np.split(np.sort(x_values), [train_end, test_end])[1]) < np.pi",
    },
    "03": {
        "Expect a steep fall and, if there are epochs enough, a long flat tail": "EPOCHS < 100 or "
        "np.ptp(history.history['loss'][:50]) > 3 * np.ptp(history.history['loss'][-50:])",
        "One that always answers 0 would be about 0.5 above it": "x_validate.size < 20 or "
        "0.3 < np.mean(y_validate**2) - floor < 0.7",
        "Does the small model draw a sine?": "learned == "
        "(np.mean((y_pred - y_validate) ** 2) - floor <= data.TOLERANCE)",
        "That is rare with the course's own values": "not learned or "
        "dict(SEED=SEED, EPOCHS=EPOCHS, BATCH_SIZE=BATCH_SIZE, samples=x_train.size) != "
        "dict(SEED=1, EPOCHS=500, BATCH_SIZE=64, samples=600)",
        "it can bend at a kink and nowhere else": "np.abs(np.diff(small_model.predict("
        "np.linspace(0, 2 * np.pi, 2001), verbose=0).ravel(), 2)).argsort()"
        "[:-3 * inside.size - 3].size > 0",
        "Such a neuron gets no [gradient]": "not dead.any() or "
        "np.all(hidden.get_weights()[1][dead] <= 0)",
    },
    "04": {
        "Does the larger model draw a sine?": "learned == "
        "(np.mean((y_test_pred - y_test) ** 2) - floor <= data.TOLERANCE)",
        "For a loss near it there is little left to learn": "not learned or error_to_sine < 0.03",
        "predictions lie in the middle of the cloud": "not learned or x_test.size < 20 or "
        "abs(np.mean(y_test_pred - y_test)) < 0.15",
        "That is little.": "not learned or error_to_sine < 0.03",
        "That is much: there is something left to gain.": "learned or error_to_sine > 0.003",
        "Now each neuron bends somewhere useful": "np.all((kinks > 0) & (kinks < 2 * np.pi))",
        "The validation figure is taken *after* the epoch": "np.isclose("
        "history.history['val_loss'][-1], model.evaluate(x_validate, y_validate, verbose=0)[0], rtol=1e-3)",
    },
    "05": {
        "predictions should hardly change": "np.abs(differences['TFLite float']).max() < 1e-4",
        "Expect an error of at most half a scale, as long as the value lies within the range": "all("
        "abs(value - inference.dequantize(inference.quantize(value, *source['quantization']), "
        "*source['quantization'])) <= 0.501 * source['quantization'][0] for value in x_train"
        " if value <= (127 - source['quantization'][1]) * source['quantization'][0])",
        "With samples enough, that is 0 to about 2π": "min(REPRESENTATIVE, x_train.size) < 60 or "
        "6 < 255 * source['quantization'][0] < 6.4",
        "The float model sits on the zero line": "np.abs(differences['TFLite float']).max() < 1e-4",
        "LiteRT does the same as we run it": "np.array_equal(answers['LiteRT without delegates'], chip)",
        "The model of notebook 4 did not in this run": "True",
        "With the course's own values, the differences are small beside the noise": "not OWN or "
        "np.abs(differences['TFLite int8']).max() < 0.1",
        "moves by a few percent": "not OWN or abs(change) < 0.1",
        "Per channel the file is": "len(per_channel) > len(model_tflite)",
        "in a small network weights and biases are the smaller part of the file": "not OWN or "
        "model.count_params() * 1.5 < len(model_tflite) / 2",
        "most of its bytes are none of that": "not OWN or "
        "3 * 4 * model.count_params() < sizes['Keras file'] / 2",
    },
    "06": {
        "differ on {np.count_nonzero(steps)} of 256": "np.array_equal(q_out, q_litert)",
        "They must equal TFLM's, each of them": "equal == 256",
        "Both engines print the same answers": "same",
        "The chip can answer far more often than an eye can see": "instructions / 64e6 < 0.02",
        "need more instructions": "emulator.run(firmware.build('microbit-v1').wave, "
        "board='microbit-v1').median_instructions > instructions",
        "Much of that flash holds the flatbuffer": "(flash['model'] + flash['engine']) / "
        "sum(flash.values()) > 0.4",
        "emlearn needs no": "(lambda rows: rows.loc['emlearn', 'error'].min() < "
        "rows.loc['compact', 'error'].min() and rows.loc['emlearn', 'flash'].min() < "
        "rows.loc['compact', 'flash'].min())(engines[engines['core'] == 'Cortex-M4']"
        ".assign(engine=lambda rows: rows['engine'].str.split().str[0]).set_index('engine'))",
    },
    "07": {
        "of 256 answers equal {name}'s.": "np.array_equal(twice, wanted)",
        "of 256 answers of your network equal": "np.array_equal("
        "run(mine, q_in, scale_twice), inference.invoke(mine, q_in, runtime))",
        "A weight's [zero point](glossary.md#zero-point) is 0": "weights.quantization[1] == 0",
        "the scale of a bias is the product of the other two": "np.isclose("
        "bias.quantization[0], s_x * s_w, rtol=1e-5)",
        "A number below 1 as (multiplier, shift)": "M < 1",
        "saved by the generator": "saved > 0",
    },
    "08": {
        "the steps were so large that neurons died": "dead_neurons > 0",
    },
    "09": {},
}
