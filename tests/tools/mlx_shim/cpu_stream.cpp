// Everywhere but on a Mac, Ollama reads weights on the GPU's stream. Without a GPU there is none,
// and Ollama would load a model of no tensors without a word.
extern "C" mlx_stream mlx_default_gpu_stream_new(void) {
  bool available = false;
  mlx_device gpu = mlx_device_new_type(MLX_GPU, 0);
  mlx_device_is_available(&available, gpu);
  mlx_device_free(gpu);
  return available ? c_layer_default_gpu_stream_new() : mlx_default_cpu_stream_new();
}
