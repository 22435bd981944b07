"""How `./board verify` finds out: what the log says, what the origins say, and the comparisons between them.

Written against the published contracts (REST and events) alone, so that a mistake in a projection is not repeated here.
"""

from demo.verification.compare import Differences, compare_ledger, compare_popular, compare_views
from demo.verification.log_view import LogView, read_log
from demo.verification.origins import Origins

__all__ = ["Differences", "LogView", "Origins", "compare_ledger", "compare_popular", "compare_views", "read_log"]
