"""What the drills say, in Korean and English. Owns words alone; what is done stands in `scripts`."""

from dataclasses import dataclass

LANGUAGES = ("ko", "en")


@dataclass(frozen=True)
class Text:
    """The same in both languages."""

    ko: str
    en: str

    def of(self, language: str, **values: object) -> str:
        text: str = getattr(self, language)
        return text.format(**values)


@dataclass(frozen=True)
class Lesson:
    """A drill's frame: what to expect, and what it meant."""

    expect: Text
    meant: Text


LESSONS = {
    "leader-dies": Lesson(
        Text(
            "파티션 하나의 리더 브로커를 kill -9로 끝냅니다. 컨트롤러가 바로 알아채고 ISR에 있는 다른 복제본을 리더로 뽑습니다. "
            "글쓰기는 계속되고, 응답받은 레코드는 하나도 사라지지 않습니다.",
            "The broker that leads a partition is ended with kill -9. The controller notices at once and lets another replica "
            "of the ISR lead. Posts go on, and no acknowledged record is lost.",
        ),
        Text(
            "acks=all은 ISR 전체가 가진 뒤에야 응답하므로, 새 리더도 응답된 레코드를 모두 가지고 있었습니다. 다시 켜진 브로커는 "
            "빠진 만큼 가져온 뒤 ISR로 돌아왔습니다.",
            "acks=all answers only when the whole ISR has a record, so the new leader had everything that was acknowledged. The "
            "broker that came back fetched what it lacked and joined the ISR again.",
        ),
    ),
    "follower-falls-behind": Lesson(
        Text(
            "팔로워 브로커 하나를 멈춥니다(SIGSTOP). 연결은 그대로라서 세션이 끝날 때까지(약 9초) 아무도 모릅니다. 그 뒤 "
            "ISR에서 빠지고, min.insync.replicas=2를 만족하는 나머지 둘로 쓰기가 계속됩니다.",
            "A follower is stopped (SIGSTOP). Its connections stay, so nobody notices until its session ends, after about nine "
            "seconds. Then it leaves the ISR, and writing goes on with the two that are left, which min.insync.replicas=2 "
            "allows.",
        ),
        Text(
            "멈춘 동안 acks=all 쓰기는 그 팔로워를 기다렸습니다. ISR에서 빠지자 하이 워터마크가 다시 움직였고, 재개된 뒤에는 "
            "따라잡아 ISR로 돌아왔습니다.",
            "While it was in the ISR, writes with acks=all waited for it. When it had left, the high watermark moved again; and "
            "once it ran on, it caught up and came back.",
        ),
    ),
    "no-majority": Lesson(
        Text(
            "브로커 셋 가운데 둘을 멈춥니다. 쿼럼의 과반수가 없어 리더를 바꿀 수 없고, 남은 하나로는 min.insync.replicas=2를 "
            "채울 수 없어 acks=all 쓰기는 응답받지 못합니다. 글은 그래도 받습니다. 이벤트는 아웃박스에서 기다립니다.",
            "Two of three brokers are stopped. Without a majority the quorum can decide nothing, and one replica is less than "
            "min.insync.replicas=2, so acks=all gets no answer. Posts are taken all the same: their events wait in the outbox.",
        ),
        Text(
            "둘이 돌아오자 쿼럼이 다시 결정하고, 아웃박스의 이벤트가 차례대로 나갔습니다. 과반수를 잃으면 Kafka는 데이터를 잃는 "
            "대신 멈춥니다.",
            "When the two were back, the quorum decided again and the outbox sent what had waited, in order. Without a majority "
            "Kafka stands still rather than lose anything.",
        ),
    ),
    "coordinator-dies": Lesson(
        Text(
            "read-view 그룹의 코디네이터 브로커를 kill -9로 끝냅니다. __consumer_offsets의 그 파티션을 다른 브로커가 이끌고, "
            "그룹의 오프셋을 이어받습니다.",
            "The broker that coordinates the group read-view is ended with kill -9. Another one leads its partition of "
            "__consumer_offsets from then on, and takes over the group with its offsets.",
        ),
        Text(
            "오프셋은 보통의 복제된 파티션에 있으므로 함께 옮겨졌습니다. 건강한 멤버는 리밸런스 없이 계속 읽었습니다.",
            "Offsets live in an ordinary replicated partition, so they moved with it. Healthy members read on without a "
            "rebalance.",
        ),
    ),
    "rolling-restart": Lesson(
        Text(
            "브로커를 하나씩 정상 종료(SIGTERM)하고 다시 켭니다. 종료하는 브로커는 먼저 컨트롤러에게 리더를 옮겨 달라고 합니다.",
            "The brokers are stopped in order (SIGTERM) and started again, one after the other. Each first asks the controller "
            "to move its leaders away.",
        ),
        Text(
            "언제나 둘 이상이 ISR에 남아 있었고 리더는 미리 옮겨졌으므로, 쓰는 쪽은 거의 아무것도 느끼지 못했습니다.",
            "At least two replicas stayed in the ISR all the time and leaders moved beforehand, so whoever writes noticed next "
            "to nothing.",
        ),
    ),
}

KILL = Text("{name} (pid {pid})을(를) kill -9로 끝냅니다", "kill -9 of {name} (pid {pid})")
STOP = Text("{name} (pid {pid})을(를) 멈춥니다 (SIGSTOP)", "stopping {name} (pid {pid}) with SIGSTOP")
RESUME = Text("{name}을(를) 다시 움직입니다 (SIGCONT)", "letting {name} run on (SIGCONT)")
TERMINATE = Text("{name} (pid {pid})에 SIGTERM을 보냅니다", "SIGTERM to {name} (pid {pid})")
WRITING = Text("그동안 글을 씁니다: {posted}개 받음, 거절 {refused}개", "posting meanwhile: {posted} taken, {refused} refused")
BACK = Text("모든 복제본이 ISR에 있고 랙은 0입니다", "every replica is in the ISR, and the lag is 0")
EXPECT = Text("예상", "expect")
MEANT = Text("의미", "what it meant")
SILENCE = Text("가장 길게 끊긴 시간(글 -> 조회): {seconds:.1f}초", "longest time from a post to its view: {seconds:.1f} s")
