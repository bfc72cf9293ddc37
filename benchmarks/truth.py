"""Whether what the notebooks say is true: fourteen runs of the course, every claim checked in each.

    .venv/bin/python benchmarks/truth.py
    .venv/bin/python benchmarks/truth.py -p NEURONS 256 -p LAYERS 4    # one run, with these

A claim is a sentence of a notebook about what a run shows. Beside it stands what must hold for it
to be true: Python, which the notebook's own kernel evaluates after the last cell, so that it sees
what the cells have computed. Where the sentence begins with "if", so does what must hold. Prints a
line per run, and exits with 1 if a cell fails or a claim is contradicted.
"""

import argparse
import json
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
    {"CSV": "battery.csv"},
    {"CSV": "humidity.csv", "SEED": 7},
)
ALONE = {
    "01",
    "09",
    "10",
}  # They read no other notebook's files: run where a parameter of theirs differs.
TRUE, CONTRADICTED = "True: ", "Contradicted: "

# {notebook: {sentence: what must hold}}. Sentences are pieces of prose, or of what a cell prints.
CLAIMS = {
    "02": {
        "Every dot lies exactly on the curve": (
            "np.allclose(y_values - noise, np.sin(x_values), atol=1e-5)"
        ),
        "Each set is spread over the whole range": (
            "all(np.ptp(x) > 5 for x in (x_train, x_test, x_validate) if x.size >= 20)"
        ),
        "Where there is some, some error remains": (
            "(np.mean((y_test - np.sin(x_test)) ** 2) > 1e-12) == (NOISE > 0)"
        ),
        "had we cut sorted samples": (
            "np.ptp(np.split(np.sort(x_values), [train_end, test_end])[1]) < np.pi"
        ),
    },
    "03": {
        "Expect a steep fall and, if there are epochs enough, a long flat tail": (
            "EPOCHS < 100 or (lambda loss: np.ptp(loss[:50]) > 3 * np.ptp(loss[-50:]))"
            "(history.history['loss'])"
        ),
        "One that always answers 0 would be about 0.5 above it": (
            "x_validate.size < 20 or 0.2 < np.mean(y_validate**2) - floor < 0.8"
        ),
        "Does the small model draw a sine?": (
            "learned == (np.mean((y_pred - y_validate) ** 2) - floor <= 0.01)"
        ),
        "That is rare with the course's own values": "not (learned and OWN)",
        "Are the results the same?": "np.allclose(log.history['loss'], ours.history['loss'], 1e-3)",
        "Such a neuron gets no [gradient]": (
            "not any(small_model.layers[0].get_weights()[0][0][dead] > 0) or EPOCHS < 5"
        ),
    },
    "04": {
        "Does the larger model draw a sine?": (
            "learned == (np.mean((y_test_pred - y_test) ** 2) - floor <= 0.01)"
        ),
        "For a loss near it there is little left to learn": "not learned or error_to_sine < 0.03",
        "predictions lie in the middle of the cloud": (
            "not learned or x_test.size < 20 or abs(np.mean(y_test_pred - y_test)) < 0.15"
        ),
        "That is little.": "not learned or error_to_sine < 0.03",
        "That is much: there is something left to gain.": "learned or error_to_sine > 0.003",
        "Now each neuron bends somewhere useful": "np.all((kinks > 0) & (kinks < 2 * np.pi))",
        "The validation figure is taken *after* the epoch": (
            "np.isclose(last['val_loss'], model.evaluate(x_validate, y_validate, verbose=0)[0])"
        ),
    },
    "05": {
        "predictions should hardly change": (
            "np.abs(predictions['TFLite float'] - predictions['Keras']).max() < 1e-4"
        ),
        "Expect an error of at most half a scale, as long as the value lies within the range": (
            "all(abs(inference.dequantize(inference.quantize([one], scale, zero_point), scale,"
            " zero_point)[0] - one) < 0.501 * scale for one in x_train"
            " if one <= (127 - zero_point) * scale)"
        ),
        "With samples enough, that is 0 to about 2π and the whole wave": (
            "min(REPRESENTATIVE, x_train.size) < 60 or 6 < 255 * scale < 6.4"
        ),
        "takes the upper one, where TFLM takes the one farther from zero": (
            "np.abs(answers['LiteRT without delegates'].astype(int) - chip).max() <= 2"
        ),
        "With the course's own values, the differences are small beside the noise": (
            "not OWN or np.abs(differences['TFLite int8']).max() < 0.1"
        ),
        "moves by a few percent": "not OWN or abs(change) < 0.1",
        "The float model does: too few REPRESENTATIVE samples": (
            "losses['TFLite int8'] <= floor + 0.01 or losses['Keras'] > floor + 0.01"
            " or REPRESENTATIVE < 50 or x_train.size < 50 or model.count_params() < 100"
        ),
        "and so has everything beyond it: it is clipped, and one code has one answer": (
            "np.ptp(beyond) == 0 and np.unique(drawn['Shuffled']).size > 1"
        ),
        "Quantization adds to that part, and per channel it adds": (
            "len(per_channel) > len(model_tflite)"
        ),
        "in a small network weights and biases are the smaller part of the file": (
            "not OWN or 4 * model.count_params() < len(model_tflite)"
        ),
        "With a network as small as the course's, most of its bytes are none of that": (
            "not OWN or 3 * 4 * model.count_params() < sizes['Keras file'] / 2"
        ),
    },
    "06": {
        "They must equal TFLM's, each of them": "equal == 256",
        "Both engines print the same answers": "same",
        "The chip can answer far more often than an eye can see": "instructions < 64e6 / 50",
        "need more instructions": (
            "(lambda boards: boards['microbit-v1'] > boards['emulator'])(pd.read_csv(paths"
            ".NOTEBOOKS_DIR / 'data' / 'boards.csv').groupby('board')['inference'].min())"
        ),
        "Much of that flash holds the flatbuffer": (
            "(flash['model'] + flash['engine']) / sum(flash.values()) > 0.4"
        ),
        "so its error is a little smaller, and it is smaller than `compact` too": (
            "(lambda own, other: other['error'] < own['error'] and other['flash'] < own['flash'])"
            "(*(engines[(engines['core'] == 'Cortex-M4') & engines['engine'].str.startswith(name)]"
            "[['error', 'flash']].min() for name in ('compact', 'emlearn')))"
        ),
    },
    "07": {
        "of 256 answers equal {name}'s.": "np.array_equal(twice, wanted)",
        "of 256 answers of your network equal {name}'s.": (
            "np.array_equal(run(mine, q_in, scale_twice), inference.invoke(mine, q_in, runtime))"
        ),
        "A weight's [zero point](glossary.md#zero-point) is 0": "weights.quantization[1] == 0",
        "the scale of a bias is the product of the other two": (
            "np.isclose(bias.quantization[0], s_x * s_w, rtol=1e-5)"
        ),
        "saved by the generator": "saved > 0",
        "Each weight is used once": (
            "sum(layer.weights.size for layer in plain_c.layers(model_tflite)) == sum("
            "one.values().size for one in model.tensors if one.type == 'INT8' and one.offset)"
        ),
    },
    "08": {
        "the steps were so large that neurons died": (
            "any((keras.Model(broken.inputs, layer.output).predict(x_train, verbose=0) == 0)"
            ".all(axis=0).any() for layer in broken.layers[:-1])"
        ),
        "the network answers with its last bias, whatever `x` is": (
            "gradient.numpy().any() or np.ptp(broken.predict(x_train, verbose=0)) < 1e-4"
        ),
        "every input is too small": "np.all(fed['Dropped'] <= 0) and fed['Dropped'].min() < -0.5",
        "where there is only one scale, the first is the right one": "np.array_equal(old, right)",
        "it finds that some point behind the end": "on_chip(received) is None",
        "Nothing happens, and that is the trap": "answers[0].equals(answers[1])",
        "This time the console tells the cause itself": "stopped is None",
        "It changes little": "np.ptp(colleague) <= max(0.3 * np.ptp(right), 0.1)",
        "these are seven neighbours": "codes.tolist() == list(range(7))",
        "it is ours times a factor": (
            "np.allclose(seventh, right * input_scale / output_scale,"
            " atol=2e-3 * (1 + np.abs(seventh).max()))"
        ),
    },
    "09": {
        "most of the [flash](glossary.md#flash) is the engine": "flash.max() < 1.5 * flash.min()",
        "Instructions do not grow as weights do": "at_shape[2, 16] / at_shape[2, 8] < 321 / 105",
        "The engine multiplies four weights at a time": "at_shape[1, 16] < 4 * at_shape[1, 4]",
        "What that one lacked was a good start": (
            "fifty[fifty['NEURONS'] == 8]['good'].mean() > 0.8"
        ),
        "do not shrink the network further": (
            "np.ptp(both['flash']['compact']) < both['flash']['compact'].min()"
            " - both['flash']['generated'].max()"
        ),
        "Here is the network with each of the two": (
            "set(by_engine['engine']) == {'compact', 'generated'} and both.notna().all(axis=None)"
        ),
        "Going down a column, the network grows": "all(all(np.diff(both['flash'][one].loc[layers])"
        " > 0) for one in ('compact', 'generated') for layers in (1, 2))",
        "going along a row, it stays": "all(by_engine.groupby(['LAYERS', 'NEURONS', 'SEED'])[["
        "'weights', 'sine_error', 'equal']].nunique().eq(1).all())",
        "there is nearly nothing left in it": "best['flash'] - flash.min() < 0.1 * flash.min()",
    },
    "10": {
        "So the scaling can be **folded** into": "not (most > 1e-4)",
        "every column to mean 0 and standard deviation 1": (
            "np.allclose(scaled(dataset.x_train, 0)[0].mean(axis=0), 0, atol=1e-2)"
            " and np.allclose(scaled(dataset.x_train, 0)[0].std(axis=0), 1, atol=1e-2)"
        ),
        "Codes up to 1023": "raw.x.max() <= 1023 or CSV != 'thermistor.csv'",
        "unless the thermistor's formula fits": (
            "all(np.mean((others[-1](train[0]) - train[1]) ** 2)"
            " <= np.mean((one(train[0]) - train[1]) ** 2) for one in formulas)"
        ),
        "one scale per neuron makes it smaller": (
            "(lambda x: (lambda off: off(model_tflite) <= off(convert.to_int8(network, x[:500]))"
            " + target[0])(lambda model: abs(np.mean(inference.predict(model, x)"
            " - network(x.reshape(-1, inputs)).numpy().ravel()))))(dataset.x_train)"
        ),
        "For one input, a table is hard to beat": (
            "inputs > 1 or not (weighed.filter(like='network', axis=0)"
            " <= weighed.loc['table']).all(axis=1).any()"
        ),
        "the network only gets a few more weights": (
            "plain_c.data_bytes(plain_c.layers(model_tflite)) < 4 * 17**3 or NEURONS > 16"
        ),
        "Its voltage never comes near 0": "least > greatest / 2",
    },
}

# Behind the last cell. OWN: whether the course's own values made what this notebook reads.
CELL = """
import json as _json
OWN = {own!r}
for _sentence, _condition in _json.loads({claims!r}).items():
    print(({true!r} if eval(_condition) else {contradicted!r}) + _sentence)
"""


def with_claims(notebook, target, chosen):
    """Write a notebook to `target` with a cell more, which checks its claims.

    chosen: {parameter: value} of the run.
    """
    content = nbformat.read(notebook, as_version=4)
    claims = json.dumps(CLAIMS.get(notebook.name[:2], {}))
    source = CELL.format(own=not chosen, claims=claims, true=TRUE, contradicted=CONTRADICTED)
    content.cells.append(nbformat.v4.new_code_cell(source))
    nbformat.write(content, target)


def found(output):
    """What the cells of `with_claims` have found in a run: {(notebook, sentence): whether true}."""
    return {
        (copy.name[:2], line.partition(": ")[2]): line.startswith(TRUE)
        for copy in sorted(output.glob("*.ipynb"))
        for line in "".join(printed(copy)).splitlines()
        if line.startswith((TRUE, CONTRADICTED))
    }


def printed(copy):
    for cell in nbformat.read(copy, as_version=4).cells:
        for output in cell.get("outputs", []):
            yield output.get("text", "")


def run(chosen, home):
    """Run the course with `chosen` and its claims. home: may be that of an earlier run, whose
    compiled firmware saves time.

    Returns `found`. Raises WorkshopError if a cell fails.
    """
    with tempfile.TemporaryDirectory() as name:
        copies = []
        for notebook in notebooks.select():
            same = chosen and not chosen.keys() & notebooks.parameters(notebook).keys()
            if not (same and notebook.name[:2] in ALONE):
                copies.append(Path(name) / notebook.name)
                with_claims(notebook, copies[-1], chosen)
        output = Path(name) / "output"
        course.run(copies, chosen, output, lambda line: None, home=home)
        return found(output)


def main():
    """Print a line per run, and what it contradicts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-p", nargs=2, action="append", metavar=("NAME", "VALUE"))
    own = parser.parse_args().p
    wrong = 0
    print(f"{'parameters':<50} claims  contradicted  seconds")
    with tempfile.TemporaryDirectory() as folder:
        for chosen in [dict(own)] if own else SETS:
            wrong += report(chosen, Home(Path(folder)))
    return 1 if wrong else 0


def report(chosen, home):
    """Print a line for a run with `chosen`, and what it contradicts. Returns how much that is."""
    started = time.monotonic()
    claims, failures = {}, []
    try:
        claims = run(chosen, home)
    except WorkshopError as error:
        failures.append(str(error))
    failures += [f"notebook {nb}: {text}" for (nb, text), holds in claims.items() if not holds]
    words = ", ".join(f"{name} {value}" for name, value in chosen.items()) or "the course's own"
    seconds = time.monotonic() - started
    print(f"{words:<50} {len(claims):>6}  {len(failures):>12}  {seconds:>7.0f}", flush=True)
    for failure in failures:
        print(f"    {failure}", flush=True)
    return len(failures)


if __name__ == "__main__":
    sys.exit(main())
