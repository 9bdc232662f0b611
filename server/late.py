"""`Late`: a thing that is opened when it is first wanted, and held open by one task to the end."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Generic, TypeVar

import anyio

from catalog.errors import ActionableError

T = TypeVar("T")


class Late(Generic[T]):
    """One thing, opened and closed by the task that runs `keep_open`: task groups must end where
    they began, whoever wanted them.

    *opening* makes the context manager that opens it, and may import what that needs. What goes
    wrong is told to those who wait as *told* of it; the next who wants it tries again.
    """

    def __init__(
        self,
        opening: Callable[[], AbstractAsyncContextManager[T]],
        told: Callable[[Exception], Exception] = lambda problem: problem,
    ) -> None:
        self._opening = opening
        self._told = told
        self._wanted = anyio.Event()
        self._answered = anyio.Event()
        self._closing = anyio.Event()
        self._closed = anyio.Event()
        self._thing: T | None = None
        self._problem: Exception | None = None

    @property
    def is_open(self) -> bool:
        return self._thing is not None

    @property
    def is_closing(self) -> bool:
        return self._closing.is_set()

    async def opened(self) -> T:
        """Return the thing, opening it if need be.

        Raises:
            ActionableError: the house closes; or whatever is told of a failure to open it.
        """
        if self._thing is None:
            answered = self._answered
            self._wanted.set()
            await answered.wait()
        if self._thing is None:
            raise self._problem or ActionableError("falkit is shutting down")
        return self._thing

    async def keep_open(self) -> None:
        """Open the thing when it is wanted and hold it open to the end."""
        try:
            while not self._closing.is_set():
                await self._wanted.wait()
                if self._closing.is_set():
                    return
                try:
                    async with self._opening() as self._thing:
                        self._answered.set()
                        await self._closing.wait()
                except Exception as problem:
                    self._problem = self._told(problem)
                    self._wanted = anyio.Event()
                    answered, self._answered = self._answered, anyio.Event()
                    answered.set()
                finally:
                    self._thing = None
        finally:
            self._answered.set()
            self._closed.set()

    async def close(self, seconds: float) -> None:
        """Let the thing be closed, and wait so long for it, whoever cancels meanwhile."""
        self._closing.set()
        self._wanted.set()
        with anyio.CancelScope(shield=True), anyio.move_on_after(seconds):
            await self._closed.wait()


@asynccontextmanager
async def alongside(
    *tasks: Callable[[], Coroutine[Any, Any, None]], ending: Callable[[], Awaitable[None]]
) -> AsyncGenerator[None]:
    """Run *tasks* while the body runs; after it *ending*, then whatever still runs is cancelled.

    What the body raises comes out as it is; a task group would wrap it.
    """
    failure: Exception | None = None
    async with anyio.create_task_group() as group:
        for task in tasks:
            group.start_soon(task)
        try:
            yield
        except Exception as problem:
            failure = problem
        finally:
            await ending()
            group.cancel_scope.cancel()
    if failure is not None:
        raise failure
