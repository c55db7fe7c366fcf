// For a compiler: templates, exceptions, the standard library.
#include <iostream>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

int main() {
  std::map<std::string, std::vector<std::unique_ptr<int>>> tree;
  for (int i = 0; i < 1000; ++i) {
    tree["key " + std::to_string(i % 37)].push_back(std::make_unique<int>(i));
  }
  long sum = 0;
  for (const auto &[key, values] : tree) {
    try {
      for (const auto &value : values) {
        if (*value % 100 == 99) {
          throw std::runtime_error(key + std::to_string(*value));
        }
        sum += *value;
      }
    } catch (const std::runtime_error &error) {
      std::cout << error.what() << '\n';
    }
  }
  std::cout << sum << '\n';
}
