"""Content addressing: digests, the encoding of actions, and the cache folder that is keyed on them."""
