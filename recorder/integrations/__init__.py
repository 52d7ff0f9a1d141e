"""Recording for libraries that downloaders are made of.

``httpx``: requests, their cache state and errors; ``pyrate``: rate limiters; ``pybreaker``:
circuit breakers; ``httpx_limiter`` and ``httpx_breaker``: these as layers of an httpx client;
``stores``: where limiters and breakers keep their state, as the environment says. Each module
needs the libraries that its name names, and no other.
"""
