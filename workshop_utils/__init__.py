"""Small helpers for the course: from a sine wave to a neural network on a microcontroller.

At the top are the helpers that notebooks import, one subject per module. `running` looks after a
run of the course, `device` after boards and images, `sweeps` after many runs, `cli` makes the
`workshop` command of them. Importing any of them does not import TensorFlow.
"""
