set(core cortex-m0) # Cortex-M0+ has the same instructions
set(board_sources board.cc boot_stage.cc)
set(linker_script linker.ld)
set(default_cycles 0)
