"""Functions in threads of their own that begin together, each with its own connection to the database."""

import threading
from collections.abc import Callable, Sequence

TIMEOUT_SECONDS = 100.0


def at_once(functions: Sequence[Callable[[], object]]) -> None:
    """Return when all have; the first failure is raised here."""
    from django.db import connection

    begin, failures = threading.Barrier(len(functions)), list[BaseException]()

    def run(function: Callable[[], object]) -> None:
        try:
            begin.wait(TIMEOUT_SECONDS)
            function()
        except BaseException as error:  # noqa: BLE001 - raised below
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TIMEOUT_SECONDS)
        assert not thread.is_alive(), "a thread did not end"
    if failures:
        raise failures[0]
