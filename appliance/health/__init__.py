"""What the box sees of itself and of its machine, and what proves it to others."""
