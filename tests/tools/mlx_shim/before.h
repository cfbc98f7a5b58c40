// Is included before each file of the C layer.
#pragma once
#if __has_include(<format>)
#include <format>
#else  // g++ 12 has none; the C layer formats only error texts
#include <string>
#include <string_view>
namespace std { template <class... Rest> string format(string_view text, Rest &&...) { return string(text); } }
#endif
