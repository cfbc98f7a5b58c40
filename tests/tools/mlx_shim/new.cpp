// What Ollama 0.34 expects of functions that the crate declares otherwise.
extern "C" {
int mlx_gather_qmm(mlx_array *out, const mlx_array x, const mlx_array w, const mlx_array scales,
                   const mlx_array biases, const mlx_array left, const mlx_array right, bool transpose,
                   mlx_optional_int group, mlx_optional_int bits, const char *mode,
                   const mlx_array global_scale, bool sorted, const mlx_stream s) {
  if (global_scale.ctx) return 1;  // needs a newer MLX; only mixtures of experts in nvfp4 ask for it
  return c_layer_gather_qmm(out, x, w, scales, biases, left, right, transpose, group, bits, mode, sorted, s);
}
// Ollama calls this one only where Metal is.
int mlx_fast_gated_delta_update(mlx_vector_array *, const mlx_array, const mlx_array, const mlx_array,
                                const mlx_array, const mlx_array, const mlx_array, const mlx_array,
                                const mlx_stream) { return 1; }
}
