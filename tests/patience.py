"""How long a test waits for what should come of itself, before it says that something hangs."""

# Seconds. On a machine with nothing else to do, the longest of these waits takes about a minute; a
# test has to pass on one that takes ten times as long. What is to be quick is measured in the
# processor's time instead, which hardly depends on what else a machine does.
HUNG = 1200
# The same for one step at a browser, such as a click, a page, or all cells of a notebook. The
# longest takes ten seconds, and a test has dozens that could hang one after the other.
STEP = 300
