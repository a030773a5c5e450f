"""Views of what a build does and leaves: terminal, plain lines, JSON."""
