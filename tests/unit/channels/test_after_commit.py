"""What is published with a transaction is told when it has been committed, and only then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, create_async_engine
from sqlalchemy.ext.asyncio import async_sessionmaker as async_maker
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from sqlalchemy.pool import StaticPool

from tests.unit.channels.listeners import settle
from tests.unit.channels.talking import Text
from wirework import (
    App,
    BrokerUnavailable,
    Channel,
    History,
    ValidationError,
    after_commit,
    publish_after_commit,
)
from wirework.testing import TestClient


@asynccontextmanager
async def published() -> AsyncIterator[Channel[Any]]:
    """A channel that keeps what is published."""
    app = App()
    news = app.channel("news", history=History())
    async with TestClient(app):
        yield news


async def told(news: Channel[Any]) -> list[Any]:
    """Return what was published, when everything is done."""
    await settle(5)
    await asyncio.gather(*after_commit._tasks)
    return [each.data for each in await news().history()]


@pytest.fixture
def makes() -> Iterator[sessionmaker[Session]]:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    yield sessionmaker(engine)
    engine.dispose()


async def test_it_is_published_after_the_commit_and_in_order(makes: sessionmaker[Session]) -> None:
    async with published() as news:
        with makes() as session:
            session.execute(text("select 1"))
            for number in range(3):
                publish_after_commit(session, news(), number)
            assert await told(news) == []
            session.commit()
            assert await told(news) == [0, 1, 2]
            session.commit()
        assert await told(news) == [0, 1, 2]


@pytest.mark.parametrize("way", ["rollback", "close", "error"])
@pytest.mark.parametrize("is_begun", [True, False], ids=["begun", "not begun"])
async def test_it_is_not_published_without_a_commit(
    makes: sessionmaker[Session], way: str, is_begun: bool
) -> None:
    async with published() as news:
        session = makes()
        if is_begun:
            session.execute(text("select 1"))
        publish_after_commit(session, news(), "lost")
        if way == "rollback":
            session.rollback()
        elif way == "close":
            session.close()
        else:
            with pytest.raises(ZeroDivisionError), session:
                raise ZeroDivisionError
        publish_after_commit(session, news(), "kept")
        session.commit()
        session.close()
        assert await told(news) == ["kept"]


async def test_a_commit_that_fails_publishes_nothing(makes: sessionmaker[Session]) -> None:
    from sqlalchemy import event

    async with published() as news:
        with makes() as session:
            publish_after_commit(session, news(), "lost")

            @event.listens_for(session, "before_commit")
            def fail(session: Session) -> None:
                raise ZeroDivisionError

            with pytest.raises(ZeroDivisionError):
                session.commit()
            session.rollback()
        assert await told(news) == []


async def test_going_back_to_a_savepoint_forgets_what_was_said_after_it(
    makes: sessionmaker[Session],
) -> None:
    async with published() as news:
        with makes() as session:
            publish_after_commit(session, news(), "before")
            with session.begin_nested():
                publish_after_commit(session, news(), "kept")
                inner = session.begin_nested()
                publish_after_commit(session, news(), "deeper")
                inner.rollback()
            outer = session.begin_nested()
            with session.begin_nested():
                publish_after_commit(session, news(), "released, then undone")
            outer.rollback()
            publish_after_commit(session, news(), "after")
            assert await told(news) == []
            session.commit()
        assert await told(news) == ["before", "kept", "after"]


async def test_a_released_savepoint_is_no_commit(makes: sessionmaker[Session]) -> None:
    async with published() as news:
        with makes() as session:
            with session.begin_nested():
                publish_after_commit(session, news(), "lost")
            assert await told(news) == []
            session.rollback()
        assert await told(news) == []


async def test_sessions_of_asyncio_publish_alike() -> None:
    engine = create_async_engine("sqlite+aiosqlite://")
    async with published() as news, AsyncSession(engine) as session:
        await session.execute(text("select 1"))
        publish_after_commit(session, news(), "lost")
        await session.rollback()
        async with session.begin():
            publish_after_commit(session, news(), "before")
            nested = await session.begin_nested()
            publish_after_commit(session, news(), "undone")
            await nested.rollback()
        assert await told(news) == ["before"]
    await engine.dispose()


async def test_scoped_sessions_leave_other_sessions_alone(makes: sessionmaker[Session]) -> None:
    async with published() as news:
        scoped = scoped_session(makes)
        publish_after_commit(scoped, news(), 1)
        with makes() as other:
            other.execute(text("select 1"))
            other.commit()
        assert await told(news) == []
        scoped.commit()
        scoped.remove()
        assert await told(news) == [1]


async def test_scoped_sessions_of_asyncio_publish_alike() -> None:
    engine = create_async_engine("sqlite+aiosqlite://")
    scoped = async_scoped_session(async_maker(engine), scopefunc=asyncio.current_task)
    async with published() as news:
        publish_after_commit(scoped, news(), 1)
        await scoped.commit()
        await scoped.remove()
        assert await told(news) == [1]
    await engine.dispose()


async def test_the_data_is_as_it_was_when_it_was_said(makes: sessionmaker[Session]) -> None:
    async with published() as news:
        data = {"n": 1}
        with makes() as session:
            publish_after_commit(session, news(), data)
            data["n"] = 2
            session.commit()
        assert await told(news) == [{"n": 1}]


async def test_options_are_those_of_publish(makes: sessionmaker[Session]) -> None:
    async with published() as news:
        with makes() as session:
            for _ in range(2):
                publish_after_commit(session, news(), 1, idempotency_key="k", key="a")
            session.commit()
        assert await told(news) == [1]
        assert [each.key for each in await news().history()] == ["a"]


async def test_what_cannot_be_published_fails_at_once(makes: sessionmaker[Session]) -> None:
    news = App().channel("news", model=Text)
    with makes() as session:
        with pytest.raises(ValidationError):
            publish_after_commit(session, news(), {"text": 5})
        session.commit()


async def test_a_broker_that_is_away_afterwards_is_logged_and_the_rest_is_published(
    makes: sessionmaker[Session], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with published() as news:
        broker = news.host.hub.broker
        publish, calls = broker.publish, []

        async def away(channel: str, *args: Any, **options: Any) -> Any:
            calls.append(channel)
            if len(calls) == 1:
                raise BrokerUnavailable("away")
            return await publish(channel, *args, **options)

        monkeypatch.setattr(broker, "publish", away)
        with makes() as session:
            publish_after_commit(session, news(), 1)
            publish_after_commit(session, news(), 2)
            session.commit()
        assert await told(news) == [2]
        assert "what was committed could not be published" in caplog.text
