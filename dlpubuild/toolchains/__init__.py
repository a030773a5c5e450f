"""Toolchains: what they are pinned to, and the environments made from those pins."""
