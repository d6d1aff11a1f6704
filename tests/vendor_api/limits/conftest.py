"""Redis servers, and a clock that a test sets."""

from tests.redis_server import own_redis, redis_server

__all__ = ["own_redis", "redis_server"]
