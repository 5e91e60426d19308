"""What a simulation's actor has for the driver: messages go at once, news of progress wait."""

import asyncio

from harness.evaluation.messages import Heartbeat, Planning

News = Planning | Heartbeat
"""How far an episode has come. Only the latest news matter."""


class Outbox:
    """Messages to the driver, oldest first. Each time that it takes some costs the driver a call.

    Args:
        news_every_s: Seconds for which news may wait for other messages, or for later news.
    """

    def __init__(self, news_every_s: float) -> None:
        self._news_every_s = news_every_s
        self._messages: list[object] = []
        self._news: News | None = None
        self._due = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    def post(self, message: object) -> None:
        """Have a message taken at once, after the news that were waiting."""
        self._move_news()
        self._messages.append(message)
        self._due.set()

    def report(self, news: News) -> None:
        """Have news taken soon; they replace those that are waiting."""
        self._news = news
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._news_every_s, self._due.set)

    async def take(self) -> list[object]:
        """Wait until messages or news are due; return all there are."""
        await self._due.wait()
        self._due.clear()
        self._move_news()
        messages, self._messages = self._messages, []
        return messages

    def _move_news(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if self._news is not None:
            self._messages.append(self._news)
        self._news = None
