set(core cortex-m4)
set(board_sources board.cc)
set(linker_script linker.ld)
set(default_cycles 0)
