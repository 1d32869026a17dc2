"""Leaving the shell: ask whether to commit or roll back an open transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kycli.cli.failure import report
from kycli.errors import KycliError

if TYPE_CHECKING:
    from kycli.shell.session import Session, SessionEnvironment


def may_leave(session: Session, env: SessionEnvironment) -> bool:
    """Return whether the shell ends now; otherwise it goes on."""
    session.leaving = False
    transaction = session.transaction
    if transaction is None:
        return True
    changes = "1 change" if transaction.changes == 1 else f"{transaction.changes:,} changes"
    answer = env.asked(
        f"The transaction has {changes}, not committed.\n"
        "[c]ommit and leave, [r]oll back and leave, or [s]tay? "
    )
    if answer[:1] not in ("c", "r"):
        env.note("the shell goes on; the transaction is still open")
        return False
    try:
        session.commit() if answer[0] == "c" else session.rollback()
    except KycliError as error:
        report(error, env)
        return False
    return True
