# Says what to change in MODEL_CC that another tool wrote. Such files have other names, forget const,
# without which the model goes to RAM, or have it where it hides the model from other files.
file(READ ${MODEL_CC} text)
string(REGEX REPLACE "//[^\n]*" "" text "${text}")
if(NOT text MATCHES "g_model *\\[" OR NOT text MATCHES "g_model_len")
  message(FATAL_ERROR "${MODEL_CC} must define g_model and g_model_len, which model/model.h "
          "declares: rename its array and its length.")
elseif(NOT text MATCHES "const[^;]*g_model *\\[")
  message(WARNING "${MODEL_CC} declares g_model without const, so it goes to RAM: add const.")
elseif(NOT text MATCHES "model\\.h\"|extern")
  message(FATAL_ERROR "${MODEL_CC} must include \"model.h\": without it C++ keeps a constant to its "
          "own file.")
endif()
