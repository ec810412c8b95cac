"""peer_pykka.py - Pykka (a thread an actor) beside our Python rows: peer_pykka.py tell|ask COUNT; prints ns."""
import sys
import time

import pykka


class Counter(pykka.ThreadingActor):
    def __init__(self):
        super().__init__()
        self.n = 0

    def on_receive(self, message):
        self.n += message["amount"]
        return self.n


def main():
    mode, count = sys.argv[1], int(sys.argv[2])
    ref = Counter.start()
    begun = time.perf_counter_ns()
    if mode == "tell":
        for _ in range(count - 1):
            ref.tell({"amount": 1})
        assert ref.ask({"amount": 1}) == count
    else:
        for _ in range(count):
            ref.ask({"amount": 1})
    spent = time.perf_counter_ns() - begun
    ref.stop()
    print(f"{spent / count:.1f}")


main()
