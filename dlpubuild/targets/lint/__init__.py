"""What an SoC wants of a model's operators, and where each of them will run."""
