"""One command in a separate process, which the shell starts with SIGINT blocked.

So Ctrl-C while Python starts ends the process without a traceback, as it does later.
"""

import gc
import signal

gc.disable()  # one command makes no cycles worth looking for

try:
    from kycli.cli import program

    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    program()
except KeyboardInterrupt:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.raise_signal(signal.SIGINT)
    raise SystemExit(130) from None
