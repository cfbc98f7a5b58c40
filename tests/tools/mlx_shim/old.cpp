// What Ollama 0.32 expects of functions that the crate declares otherwise.
#define SCAN mlx_array *out, const mlx_array in, int axis, bool reverse, bool inclusive, const mlx_stream s
static const mlx_optional_dtype same_type{};
extern "C" {
int mlx_cumsum(SCAN) { return mlx_cumsum_axis(out, in, axis, reverse, inclusive, same_type, s); }
int mlx_cumprod(SCAN) { return mlx_cumprod_axis(out, in, axis, reverse, inclusive, same_type, s); }
int mlx_cummax(SCAN) { return mlx_cummax_axis(out, in, axis, reverse, inclusive, s); }
int mlx_cummin(SCAN) { return mlx_cummin_axis(out, in, axis, reverse, inclusive, s); }
int mlx_logcumsumexp(SCAN) { return mlx_logcumsumexp_axis(out, in, axis, reverse, inclusive, s); }
int mlx_median(mlx_array *out, const mlx_array in, const int *axes, size_t count, bool keep, const mlx_stream s) {
  return mlx_median_axes(out, in, axes, count, keep, s);
}
// Ollama loads these three and calls none of them.
int mlx_trace(mlx_array *, const mlx_array, int, int, int, mlx_dtype, const mlx_stream) { return 1; }
int mlx_detail_compile_clear_cache(void) { return 1; }
int mlx_detail_compile_erase(uintptr_t) { return 1; }
}
