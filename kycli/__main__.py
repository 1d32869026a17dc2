"""``python -m kycli`` is ``kycli``."""

import gc

gc.disable()  # one command makes no cycles worth looking for

try:
    from kycli.cli import program

    program()
except KeyboardInterrupt:
    # A shell ends its loop only when the command in it dies of the signal.
    import signal

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.raise_signal(signal.SIGINT)
    raise SystemExit(130) from None  # where it is blocked
