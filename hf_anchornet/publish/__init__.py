"""From a folder of a model to the Hub, and from other checkpoints to ours."""
