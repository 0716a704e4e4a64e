// Checks of the harness: counted, printed when they fail, never fatal.
#pragma once

#include <cstdio>
#include <string>

struct Checks {
  int made = 0;
  int failed = 0;
};

inline Checks& checks() {
  static Checks counts;
  return counts;
}

inline bool check(bool holds, const std::string& what) {
  ++checks().made;
  if (!holds && ++checks().failed <= 30) std::printf("FAILED  %s\n", what.c_str());
  return holds;
}
