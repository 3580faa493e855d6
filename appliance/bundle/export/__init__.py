"""The publisher's side, outside the gap: from a Hugging Face folder to a model that the box's ONNX engine runs."""
