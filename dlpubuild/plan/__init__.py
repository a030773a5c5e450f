"""A project becomes a plan: steps rendered from the SoC templates, in an order that never changes."""
