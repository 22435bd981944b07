"""The timers of groups: members' sessions, ids that wait for their use, the join phase and the sync phase.

A timer that fires after what it watched is gone does nothing: each looks at the group again before it acts.
"""

from collections.abc import Callable

from broker.clock.port import Clock, Timer
from broker.group.classic_group import ClassicGroup, Member

# A new member gets its first answer when the others have rejoined; until then it need not send heartbeats (Kafka's constant).
NEW_MEMBER_JOIN_TIMEOUT_MS = 5 * 60_000


class GroupTimers:
    """Sets and cancels them. `on_silent(group, member)` is called for a member whose session is over."""

    def __init__(self, clock: Clock, on_silent: Callable[[ClassicGroup, Member], None]) -> None:
        self._clock = clock
        self._on_silent = on_silent

    def after(self, delay_ms: int, callback: Callable[[], None]) -> Timer:
        return self._clock.call_at(self._clock.monotonic_ms() + delay_ms, callback)

    def restart_session(self, group: ClassicGroup, member: Member) -> None:
        """The member was heard: its session begins anew."""
        timeout = NEW_MEMBER_JOIN_TIMEOUT_MS if member.is_new else member.session_timeout_ms
        self.stop_session(member)
        member.session_timer = self.after(timeout, lambda: self._session_over(group, member))

    def stop_session(self, member: Member) -> None:
        if member.session_timer is not None:
            member.session_timer.cancel()
            member.session_timer = None

    def _session_over(self, group: ClassicGroup, member: Member) -> None:
        member.session_timer = None
        # While it is the coordinator's turn, silence is no death; the answer begins the next session.
        if group.members.get(member.member_id) is member and not member.is_waiting:
            self._on_silent(group, member)

    def set_join(self, group: ClassicGroup, delay_ms: int, callback: Callable[[], None]) -> None:
        self.cancel_join(group)
        group.join_timer = self.after(delay_ms, callback)

    @staticmethod
    def cancel_join(group: ClassicGroup) -> None:
        if group.join_timer is not None:
            group.join_timer.cancel()
            group.join_timer = None

    def set_sync(self, group: ClassicGroup, delay_ms: int, callback: Callable[[], None]) -> None:
        self.cancel_sync(group)
        group.sync_timer = self.after(delay_ms, callback)

    @staticmethod
    def cancel_sync(group: ClassicGroup) -> None:
        if group.sync_timer is not None:
            group.sync_timer.cancel()
            group.sync_timer = None

    def stop_all(self, group: ClassicGroup) -> None:
        """The group is forgotten, or another node leads it."""
        self.cancel_join(group)
        self.cancel_sync(group)
        for timer in group.pending_members.values():
            timer.cancel()
        group.pending_members.clear()
        for member in group.members.values():
            self.stop_session(member)
