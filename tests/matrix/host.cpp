// The executable of the interposition matrix: runs the caller that is part of it, that it is linked with, or that it opens in
// the way which the first argument says.

#include <cstdio>
#include <cstring>
#include <dlfcn.h>

#if defined(OPENS)
namespace {

int run(void *library) {
  if (library == nullptr) {
    std::fprintf(stderr, "host: %s\n", dlerror());
    return 9;
  }
  // dlsym's result is a pointer to a function here.
  auto caller_run = reinterpret_cast<void (*)()>(dlsym(library, "caller_run"));
  if (caller_run == nullptr) {
    return 9;
  }
  caller_run();
  return 0;
}

} // namespace

int main(int count, char **arguments) {
  const char *way = count > 1 ? arguments[1] : "";
  for (int at = 2; at < count; ++at) {
    void *library = nullptr;
    if (std::strcmp(way, "deepbind") == 0) {
      library = dlopen(arguments[at], RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
    } else if (std::strcmp(way, "namespace") == 0) {
      library = dlmopen(LM_ID_NEWLM, arguments[at], RTLD_NOW | RTLD_LOCAL);
    } else {
      library = dlopen(arguments[at], RTLD_NOW | RTLD_LOCAL);
    }
    int code = run(library);
    if (code != 0) {
      return code;
    }
  }
  return 0;
}
#else
extern "C" void caller_run();

int main() {
  caller_run();
  return 0;
}
#endif
