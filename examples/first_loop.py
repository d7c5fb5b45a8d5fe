"""The first loop: replay a folder of bars and look at each one as it would have arrived.

    python examples/first_loop.py [FOLDER]

Without a folder it makes one with sample data.
"""

import sys
import tempfile
from pathlib import Path

import backtape


def main(folder: Path) -> None:
    replay = backtape.replay(folder / "bars_1m", derived=("5m",), history=1)
    for event in replay:
        if isinstance(event, backtape.SessionOpen):
            print(f"\n{event.session.label} opens at {event.time:%H:%M %Z}")
        elif isinstance(event, backtape.Bar) and event.interval == "5m" and not event.complete:
            data = replay.data[event.symbol]
            print(
                f"  {replay.now:%H:%M} {event.symbol}: {event.n_present} of {event.n_expected} minutes,"
                f" session high {data.high:.2f} low {data.low:.2f}, quality {data.quality:.1f} %"
            )
        elif isinstance(event, backtape.SessionClose):
            kept = event.ledger.total
            print(f"  closes: {kept.delivered:,} bars delivered, {kept.out_of_hours:,} out of hours")
    print(f"\n{replay.report()}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as made:
            backtape.make_sample(made, symbols=2, sessions=2)
            main(Path(made))
