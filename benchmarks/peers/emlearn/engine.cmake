# emlearn's header of the network, in float32. Compilers may fuse its products and sums, as they do
# by default. NETWORK: the folder of emlearn_sine.h, of emlearn's own headers and of network.h.
add_part(engine ${ENGINE}/engine.cc)
target_include_directories(engine SYSTEM PRIVATE ${NETWORK})
target_compile_options(engine PRIVATE -ffp-contract=fast)
set(MODEL_CC engine/no_model.cc)
