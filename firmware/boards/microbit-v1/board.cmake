set(core cortex-m0)
set(board_sources board.cc ../common/microbit.cc)
set(linker_script linker.ld)
set(default_cycles 0)
