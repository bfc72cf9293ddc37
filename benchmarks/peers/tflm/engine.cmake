# TFLM as its users call it: the library's interpreter, and no check of the model before it.
add_part(engine ${ENGINE}/engine.cc engine/predict.cc)
target_include_directories(engine SYSTEM PRIVATE ${TFLM_ROOT}/include)
target_compile_definitions(
  engine PRIVATE TF_LITE_STATIC_MEMORY TF_LITE_STRIP_ERROR_STRINGS NDEBUG)
set(engine_libraries ${TFLM_ROOT}/lib/libtensorflow-microlite.a)
