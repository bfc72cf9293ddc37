set(core host)
set(board_sources board.cc)
set(linker_script) # the one of this computer
set(default_cycles 2)
