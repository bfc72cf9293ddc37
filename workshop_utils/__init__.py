"""Small helpers for the course: from a sine wave to a neural network on a microcontroller.

One subject a module: paths, data, training, plots, convert, inference, c_source, course and cli.
Importing the package imports none of them, and none of them imports TensorFlow at import time.
"""
