"""Container engines: finding one, talking to it, and the images that steps run in."""
