"""Entry of the command ``synfab``: Ctrl-C is one line at most and status 130, whenever it comes.

It stands outside the package, because importing that takes long enough to be interrupted, and
imports nothing itself that Python has not loaded already but ``signal``.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

STATUS = 130  # what a shell gives for SIGINT


def leave_at_once() -> None:
    """Let SIGINT end the process without a word, until commands can clean up."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as in a shell's background
        # Nothing has been done yet, and libraries half imported may not end well.
        signal.signal(signal.SIGINT, lambda *_: os._exit(STATUS))


class _Interrupts:
    """What SIGINT does once everything is imported: raise ``KeyboardInterrupt``, and be noted."""

    def __init__(self) -> None:
        self.come = False

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.come = True
        raise KeyboardInterrupt

    def imported(self) -> None:
        """Let commands clean up from now on."""
        sys.unraisablehook = self._again
        signal.signal(signal.SIGINT, self._note)

    def _again(self, unraisable: sys.UnraisableHookArgs) -> None:
        """Repeat an interrupt that came inside a callback from C, where it cannot be raised."""
        if unraisable.exc_type is not KeyboardInterrupt:
            sys.__unraisablehook__(unraisable)
            return
        from threading import Timer

        again = Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
        again.daemon = True
        again.start()


def main() -> None:
    """Run the command line."""
    leave_at_once()
    from synfab.cli.app import main as command

    interrupts = _Interrupts()
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        interrupts.imported()
    try:
        command()
    except BaseException:
        # Whatever an interrupt became on its way (an ImportError of a library, click's "Aborted").
        if not interrupts.come:
            raise
        sys.exit(STATUS)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the interpreter only ends now


if __name__ == "__main__":
    main()
