"""Recording for libraries that downloaders are made of: each module needs one of them.

``httpx``: requests, their cache state and errors; ``pyrate``: rate limiters; ``pybreaker``:
circuit breakers; ``transports``: limiters and breakers as layers of an httpx client; ``stores``:
where limiters and breakers keep their state, as the environment says.
"""
