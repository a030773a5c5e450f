"""The commands: each parses its options, calls one function of the layers below, and prints."""
