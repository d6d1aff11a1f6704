"""Tells other processes through Redis that a key was changed, so that they look it up again."""

import asyncio
from typing import Self

import redis
import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from vendor_api.auth.service import Authenticator

CHANNEL = "vl2v:key-changed"
PATIENCE_S = 1.0
"""Between two attempts to listen, and for a message to be sent."""

__all__ = ["KeyChanges", "announce_change"]

_log = structlog.get_logger("vendor")


class KeyChanges:
    """Listens for changed keys and announces those of this process; without Redis nothing is lost
    but time: every key is looked up again within seconds."""

    def __init__(self, client: "Redis", authenticator: Authenticator) -> None:
        self._redis = client
        self._authenticator = authenticator
        self._announcing: set[asyncio.Task[None]] = set()
        authenticator.tell_changes(self._announce)

    @classmethod
    def open(cls, url: str, authenticator: Authenticator) -> Self:
        """Ready to `listen`; connects then."""
        client = Redis.from_url(
            url,
            socket_connect_timeout=PATIENCE_S,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )
        return cls(client, authenticator)

    async def listen(self) -> None:
        """Drop every key that is announced; runs until cancelled, whatever Redis does."""
        while True:
            try:
                async with self._redis.pubsub(ignore_subscribe_messages=True) as channel:
                    await self._follow(channel)
            except (RedisError, OSError, TimeoutError) as error:
                _log.debug("key_changes_unheard", error=repr(error))
            await asyncio.sleep(PATIENCE_S)

    async def close(self) -> None:
        """Finish announcing, then disconnect."""
        if self._announcing:
            await asyncio.wait(self._announcing)
        await self._redis.aclose()

    async def _follow(self, channel: PubSub) -> None:
        await channel.subscribe(CHANNEL)
        # What was announced before this moment was not heard.
        self._authenticator.drop(None)
        async for message in channel.listen():
            self._authenticator.drop(bytes(message["data"]).decode(errors="replace"))

    def _announce(self, key_id: str) -> None:
        announcing = asyncio.create_task(self._publish(key_id))
        self._announcing.add(announcing)
        announcing.add_done_callback(self._announcing.discard)

    async def _publish(self, key_id: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self._redis.publish(CHANNEL, key_id)
        except (RedisError, OSError, TimeoutError) as error:
            _log.warning("key_change_not_announced", key_id=key_id, error=repr(error))


def announce_change(redis_url: str, key_id: str) -> bool:
    """Tell every server from a command that a key was changed; False when Redis did not answer."""
    try:
        with redis.Redis.from_url(
            redis_url, socket_timeout=PATIENCE_S, socket_connect_timeout=PATIENCE_S
        ) as client:
            client.publish(CHANNEL, key_id)
    except (RedisError, OSError):
        return False
    return True
