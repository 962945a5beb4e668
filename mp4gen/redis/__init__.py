"""Share one rate limit among any number of processes and machines, through Redis.

Importing this package does not import redis-py; a `RedisRateLimiter` needs it (`mp4gen[redis]`).
"""

from .limiter import RedisRateLimiter

__all__ = ["RedisRateLimiter"]

RedisRateLimiter.__module__ = __name__
