"""Ideas compared on validation splits."""
