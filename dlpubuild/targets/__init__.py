"""What is known of each SoC, and the rules a built model has to meet."""
