"""Whatever arrives in whatever order, the core neither breaks nor breaks its word: epoch and high watermark never go back, and
one vote is given in an epoch."""

from typing import Any

from broker.protocol.errors import ErrorCode
from broker.raft.core import RaftError
from broker.raft.messages import (
    Answer,
    BeginEpoch,
    EndEpoch,
    EpochEnd,
    Fetch,
    FetchAnswer,
    OpenEpoch,
    Reply,
    Send,
    Truncate,
    Vote,
    VoteAnswer,
)
from hypothesis import given
from hypothesis import strategies as st

from .simulated_log import Disk, Entry
from .test_core import Stage

nodes = st.integers(-1, 5)
epochs = st.integers(-1, 9)
offsets = st.integers(-1, 20)
errors = st.sampled_from(
    [ErrorCode.NONE] * 4 + [ErrorCode.FENCED_LEADER_EPOCH, ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.INVALID_REQUEST]
)
ends = st.builds(EpochEnd, epochs, offsets)
requests = st.one_of(
    st.builds(Vote, nodes, epochs, epochs, offsets, st.booleans()),
    st.builds(BeginEpoch, nodes, epochs),
    st.builds(EndEpoch, nodes, epochs, st.lists(nodes, max_size=3).map(tuple)),
    st.builds(Fetch, nodes, epochs, offsets, epochs, offsets, st.integers(0, 500)),
)
answers: dict[type, st.SearchStrategy[Any]] = {
    Vote: st.builds(VoteAnswer, errors, epochs, nodes, st.booleans()),
    BeginEpoch: st.builds(Answer, errors, epochs, nodes),
    EndEpoch: st.builds(Answer, errors, epochs, nodes),
    Fetch: st.builds(
        FetchAnswer, errors, epochs, nodes, offsets, offsets, st.none() | ends, st.none(), st.sampled_from([b"", b"x"])
    ),
}


@given(st.data(), st.sampled_from([1, 4]))
def test_no_message_breaks_the_core(data: st.DataObject, node_id: int) -> None:
    disk = Disk(entries=[Entry(1, "a"), Entry(3, "b")])
    disk.sync(list(disk.entries))
    stage = Stage(node_id=node_id, log=disk)  # type: ignore[arg-type]
    core, asked, votes = stage.core, [], {}
    core.start(0)
    for step in range(data.draw(st.integers(5, 40))):
        before = core.epoch, core.high_watermark
        what = data.draw(st.sampled_from(["request", "answer", "answer", "time", "door", "persist", "resign"]))
        stage.now += data.draw(st.integers(0, 800))
        if what == "request":
            request = data.draw(requests)
            handle = {Vote: core.observe_vote, BeginEpoch: core.observe_begin_epoch, EndEpoch: core.observe_end_epoch}
            handle.get(type(request), core.observe_fetch)(step, request, stage.now)  # type: ignore[arg-type]
        elif what == "answer" and asked:
            peer, request = asked.pop(data.draw(st.integers(0, len(asked) - 1)))
            try:
                change = core.observe_answer(peer, request, data.draw(st.none() | answers[type(request)]), stage.now)
            except RaftError:
                return
            if isinstance(change, Truncate):
                disk.truncate(change.offset)
            elif change is not None:
                disk.entries.append(Entry(max(disk.last_epoch, core.epoch), step))
            if change is not None:
                core.log_changed(stage.now)
        elif what == "time":
            core.on_deadline(stage.now)
        elif what == "door":
            core.door_closed(data.draw(nodes), stage.now)
        elif what == "persist":
            disk.sync(list(disk.entries))
            core.persisted(core.epoch, disk.end_offset, stage.now)
        elif what == "resign":
            core.resign(stage.now)
        ready = core.take_ready()
        for effect in ready.at_once + ready.after_persist:
            if isinstance(effect, Send):
                asked.append((effect.peer, effect.request))
            elif isinstance(effect, OpenEpoch):
                disk.entries.append(Entry(effect.epoch, "opens"))
                core.observe_appended(stage.now)
        if core.election.voted_id >= 0:
            assert votes.setdefault(core.epoch, core.election.voted_id) == core.election.voted_id
        assert before[0] <= core.epoch and before[1] <= core.high_watermark
        assert all(isinstance(effect, Reply | Send | OpenEpoch) for effect in ready.at_once)
        assert core.next_deadline() is None or isinstance(core.next_deadline(), int)
