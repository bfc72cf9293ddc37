// Calls the application's functions on the desktop, for the tests. stdin: lines of
//
//   input STEP COUNT | brightness VALUE | fixed VALUE | integer NUMBER | halt
//
// stdout: a line for each; what goes to the console is marked as fakes.cc marks it. Exit code 2:
// stdin holds nothing or something else.

#include <stdio.h>
#include <string.h>

#include "app/app.h"
#include "app/console.h"

namespace {

bool Call(const char* name) {
  unsigned step, count;
  float value;
  int number;
  if (strcmp(name, "input") == 0 && scanf("%u %u", &step, &count) == 2) {
    printf("%.9g\n", static_cast<double>(app::Input(step, count)));
  } else if (strcmp(name, "brightness") == 0 && scanf("%f", &value) == 1) {
    printf("%d\n", app::Brightness(value));
  } else if (strcmp(name, "fixed") == 0 && scanf("%f", &value) == 1) {
    app::PrintFixed(value);
    app::Print("\n");
  } else if (strcmp(name, "integer") == 0 && scanf("%d", &number) == 1) {
    app::PrintInteger(number);
    app::Print("\n");
  } else if (strcmp(name, "halt") == 0) {
    app::Halt("all is lost");
  } else {
    return false;
  }
  return true;
}

}  // namespace

int main() {
  char name[20];
  bool called = false;
  while (scanf("%19s", name) == 1) {
    called = true;
    if (!Call(name)) return 2;
  }
  return called ? 0 : 2;
}
