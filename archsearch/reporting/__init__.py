"""What a person sees of a search: progress while it runs, TensorBoard, and figures."""
