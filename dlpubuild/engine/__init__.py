"""The engine: a plan's steps become actions, run or found in the cache, in an order that respects what they need."""
