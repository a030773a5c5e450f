"""`dlpu.toml` as a typed value: read, checked against the schema, defaults filled, every key's line known."""
