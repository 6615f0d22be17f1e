"""One event loop in a thread of its own, through which blocking code calls asynchronous methods.

The decorators derive a blocking method from the asynchronous one it stands for, with the same parameters and
types, so that no signature is written twice.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import functools
import os
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from ..model.errors import Answer

A = TypeVar("A")
A_co = TypeVar("A_co", covariant=True)
T = TypeVar("T")
P = ParamSpec("P")


class Portal:
    """Runs coroutines for any number of threads on one loop; closes by itself when the interpreter exits."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._loop.run_forever, name="innkeeper", daemon=True)
        self._thread.start()
        self._closing = threading.Lock()
        atexit.register(self.close)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run it and return what it returns; an interrupt of the caller cancels it.

        Raises:
            Answer: the portal was closed, or made before a fork, or is asked from its own loop.
        """
        if (why := self._unusable()) is not None:
            coroutine.close()
            raise why
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise _closed() from None
        except BaseException:
            future.cancel()
            raise

    def leave(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Let it run without waiting, from any thread, the garbage collector's too; nothing where all is closed."""
        if self._process != os.getpid() or self._loop.is_closed():
            coroutine.close()
        else:
            asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._loop.is_closed()

    def _unusable(self) -> Answer | None:
        if self._process != os.getpid():
            return Answer(
                "this client was made before the process forked",
                code="Forked",
                fix="connect in each worker process, after the fork",
            )
        if self._loop.is_closed():
            return _closed()
        if threading.current_thread() is self._thread:
            return Answer(
                "a blocking call from the client's own event loop would wait for itself",
                code="OwnLoop",
                fix="use Innkeeper in asynchronous code",
            )
        return None

    def close(self) -> None:
        """Cancel what still runs and end the thread. Closing twice does nothing."""
        atexit.unregister(self.close)
        with self._closing:
            if self._loop.is_closed() or self._process != os.getpid():
                return
            asyncio.run_coroutine_threadsafe(_wind_down(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()


def _closed() -> Answer:
    return Answer("this client is closed", code="Closed", fix="connect again")


async def _wind_down() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()


class Twin(Generic[A_co]):
    """The blocking counterpart of an asynchronous object."""

    def __init__(self, asynchronous: A_co, portal: Portal) -> None:
        self._async = asynchronous
        self._portal = portal


def blocking(
    method: Callable[Concatenate[A, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Twin[A], P], T]:
    """The method that waits for what `method` returns."""

    @functools.wraps(method)
    def twin(self: Twin[A], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._portal.run(method(self._async, *args, **kwargs))

    return twin


def iterating(
    method: Callable[Concatenate[A, P], AsyncGenerator[T, None]],
) -> Callable[Concatenate[Twin[A], P], Iterator[T]]:
    """The method whose iterator waits for each item that `method` yields."""

    @functools.wraps(method)
    def twin(self: Twin[A], /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        items = method(self._async, *args, **kwargs)
        try:
            while (found := self._portal.run(_next(items))) is not None:
                yield found[0]
        finally:
            self._portal.leave(_close(items))

    return twin


async def _next(items: AsyncGenerator[T, None]) -> tuple[T] | None:
    async for item in items:
        return (item,)
    return None


async def _close(items: AsyncGenerator[T, None]) -> None:
    await items.aclose()
