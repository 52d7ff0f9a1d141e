"""Records what the libraries of a crawler do: httpx, pyrate-limiter, pybreaker.

Each module needs only the library it is named after; the recorder itself needs none of them.
"""
