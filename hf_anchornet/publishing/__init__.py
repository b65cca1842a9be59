"""Publishing a model: folder, checks, model card, ONNX parity, upload to the Hub."""
