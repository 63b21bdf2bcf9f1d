"""One direction of a WebSocket: frames in order, through the hooks of plugins.

Theory of operation
    Frames wait in a queue. Control frames pass as they are; a message is shown to the plugins of the direction, each
    in turn. While every hook is a ``def`` the queue is empty whenever the pump goes on. A message for an ``async def``
    hook gets a task, which then works the queue off; until it is done everything behind waits, control
    frames too, so that nothing overtakes.
"""

import inspect
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, Protocol, cast

from wsproto.events import CloseConnection
from wsproto.frame_protocol import CloseReason

from oto_trio.gateway.faults import split_fault
from oto_trio.gateway.websocket.leg import Frame
from oto_trio.gateway.websocket.limits import SocketLimits
from oto_trio.plugin_api.websockets import Member, Message, MessageAnswer, Reject, WebSocketPlugin

__all__ = ["Lane", "LaneOwner", "MessageHook", "hooks_of"]

_OVERHEAD: Final = 64
"""What a frame that waits counts beside its payload."""
_LOWEST_CODE: Final = 1000
_HIGHEST_CODE: Final = 4999
_UNSPEAKABLE: Final = frozenset({1004, 1005, 1006, 1015})
"""Codes that no close frame holds (RFC 6455 section 7.4.1)."""


class MessageHook(NamedTuple):
    """A hook of one direction."""

    member: Member
    call: Callable[[Message, Any], Any]
    name: str
    is_async: bool


def hooks_of(members: Sequence[Member], name: str) -> list[MessageHook]:
    """Return the hooks of a direction that plugins really have.

    Args:
        members: The plugins, in order.
        name: ``on_request_message`` or ``on_response_message``.
    """
    quiet: object = getattr(WebSocketPlugin, name)
    found: list[MessageHook] = []
    for member in members:
        call = getattr(member.plugin, name)
        if getattr(type(member.plugin), name) is not quiet:
            found.append(MessageHook(member, call, name, inspect.iscoroutinefunction(call)))
    return found


class LaneOwner(Protocol):
    """What a lane needs of its session."""

    def deliver(self, lane: "Lane", frame: Frame) -> None:
        """Hand a frame to the other side."""
        ...

    def rejected(self, message: Message, answer: Reject) -> None:
        """Note what became of a message, and close both sides if they are to be."""
        ...

    def work(self, lane: "Lane", message: Message, at: int) -> None:
        """Run `Lane.work_off` in a task."""
        ...

    def follow_up(self) -> None:
        """Write what was delivered outside of a turn."""
        ...

    def failed(self, hook: MessageHook, error: BaseException) -> None:
        """Log the fault of a hook."""
        ...


class Lane:
    """One direction.

    Args:
        owner: The session.
        hooks: The hooks of this direction, in order.
        limits: The bounds.
    """

    def __init__(
        self, owner: LaneOwner, hooks: Sequence[MessageHook], limits: SocketLimits
    ) -> None:
        self._owner = owner
        self._hooks = hooks
        self._limits = limits
        self._queue: deque[tuple[Frame, int]] = deque()
        self._waiting = 0
        self._is_busy = False
        self.is_over = False
        """Nothing passes any more."""

    @property
    def is_full(self) -> bool:
        """Whether so much waits that nothing more is to be read."""
        limits = self._limits
        return self._waiting > limits.waiting_bytes or len(self._queue) > limits.waiting_frames

    @property
    def has_close(self) -> bool:
        """Whether a close frame waits behind messages."""
        return bool(self._queue) and isinstance(self._queue[-1][0], CloseConnection)

    def put(self, frame: Frame) -> None:
        """Take a frame in, and pass on what can be."""
        if self.is_over:
            return
        size = _OVERHEAD + (frame.size if isinstance(frame, Message) else 0)
        self._queue.append((frame, size))
        self._waiting += size
        if not self._is_busy:
            self._run()

    def end(self) -> None:
        """Drop what waits; nothing passes any more."""
        self.is_over = True
        self._queue.clear()
        self._waiting = 0

    def _next(self) -> Frame | None:
        if not self._queue or self.is_over:
            return None
        frame, size = self._queue.popleft()
        self._waiting -= size
        return frame

    def _run(self) -> None:
        """Pass frames on until one has to wait for a hook."""
        while (frame := self._next()) is not None:
            if isinstance(frame, Message):
                at, passed = self._decide(frame)
                if at is not None and passed is not None:
                    self._is_busy = True
                    self._owner.work(self, passed, at)
                    return
                if passed is None:
                    continue
                frame = passed
            self._owner.deliver(self, frame)

    def _decide(self, message: Message, at: int = 0) -> tuple[int | None, Message | None]:
        """Show a message to the hooks from one on.

        Returns:
            The place of the async hook that it is to wait for, or None; and the message as it is then, None when it goes
            no further.
        """
        for place in range(at, len(self._hooks)):
            hook = self._hooks[place]
            if hook.is_async:
                return place, message
            try:
                answer = _checked(hook.call(message, hook.member.opened))
            except Exception as error:  # noqa: BLE001 (it is logged, and the connection closed)
                answer = self._fault(hook, error)
            passed = self._apply(message, answer)
            if passed is None:
                return None, None
            message = passed
        return None, message

    async def work_off(self, message: Message, at: int) -> None:
        """Run an async hook, then whatever waits behind its message.

        Args:
            message: The message it is for.
            at: The hook's place.

        Cancellation: drops what waits; the connection is gone.
        """
        try:
            place: int | None = at
            passed: Message | None = message
            is_news = False
            while True:
                while place is not None and passed is not None:
                    if is_news:
                        # What is through does not wait for those behind it.
                        self._owner.follow_up()
                        is_news = False
                    passed = await self._ask(self._hooks[place], passed)
                    if passed is not None:
                        place, passed = self._decide(passed, place + 1)
                if passed is not None and not self.is_over:
                    self._owner.deliver(self, passed)
                is_news = True
                frame = self._next()
                if frame is None:
                    return
                if isinstance(frame, Message):
                    place, passed = self._decide(frame)
                else:
                    place = passed = None
                    self._owner.deliver(self, frame)
        finally:
            self._is_busy = False

    async def _ask(self, hook: MessageHook, message: Message) -> Message | None:
        """Await one hook; returns the message as it is then."""
        try:
            answer = _checked(await hook.call(message, hook.member.opened))
        except BaseException as error:  # noqa: BLE001 (re-raised unless it is a fault)
            passing, fault = split_fault(error)
            if passing is not None:
                raise passing from None
            answer = self._fault(hook, fault or error)
        return self._apply(message, answer)

    def _apply(self, message: Message, answer: MessageAnswer) -> Message | None:
        """Act on what a hook made of a message."""
        if answer is None:
            return message
        if isinstance(answer, Message):
            return answer
        if not self.is_over:
            self._owner.rejected(message, answer)
        return None

    def _fault(self, hook: MessageHook, error: BaseException) -> Reject:
        """Log what a hook raised; both sides are closed for it."""
        self._owner.failed(hook, error)
        return Reject(CloseReason.INTERNAL_ERROR, "internal_server_error", closes=True)


def _checked(answer: object) -> MessageAnswer:
    """Return a hook's answer.

    Raises:
        TypeError: It is none, or its data are neither text nor bytes.
        ValueError: Its code or its text cannot be sent.
    """
    if isinstance(answer, Reject):
        code = answer.code
        if not _LOWEST_CODE <= code <= _HIGHEST_CODE or code in _UNSPEAKABLE:
            raise ValueError(f"{code} is no close code that can be sent; use 1000 to 4999")
        _check_text(answer.reason)
        return answer
    if isinstance(answer, Message):
        data = cast("object", answer.data)
        if isinstance(data, str):
            _check_text(data)
        elif not isinstance(data, (bytes, bytearray)):
            raise TypeError(f"the data of a Message are str or bytes, not {type(data).__name__}")
        return answer
    if answer is None:
        return answer
    raise TypeError(
        f"the hook returned a {type(answer).__name__}; return a Message, a Reject or None"
    )


def _check_text(text: str) -> None:
    """Raise a ValueError about text that UTF-8 has no octets for, as JSON with half a pair of surrogates makes it."""
    if text and not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"text that cannot be sent: {error.reason}") from None
