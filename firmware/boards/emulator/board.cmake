# Of this board for CMake: its core, which is a file of cmake/cores/, its sources and its linker
# script, and for how many turns of the sine the program runs unless told otherwise; 0 for ever.
set(core cortex-m4)
set(board_sources board.cc)
set(linker_script linker.ld)
set(default_cycles 2)
