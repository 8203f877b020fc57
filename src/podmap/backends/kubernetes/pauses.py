"""How often a KubernetesBackend asks again, and how long it has patience; tests make it short.

How often the lease is renewed stands in `lease`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pauses:
    """All in seconds; a pair is the first and the longest of pauses that grow.

    Attributes:
        request_pauses_s: Between the tries of a request.
        unmet_s: How long a server that has never answered is tried: it is more likely dead than
            busy.
        quota_pauses_s: Between the tries of a pod for which a quota has no room.
        quota_patience_s: After so long without room, whoever waits for it is told what it waits
            for.
        log_pauses_s: Between the tries to read a log.
        watch_pauses_s: Between the tries to watch pods.
        poll_every_s: How often pods are listed while watching them is refused.
        watch_again_s: Between the tries to watch pods while that is refused.
        list_limit_s: How long the first list of the pods may take.
        recheck_every_s: How often pods are looked for that mean something else by now although
            nothing was heard of them.
        outage_patience_s: For so long those who wait are not told that the server cannot be asked.
        end_check_every_s: How often a pod that is to end is asked for: the watch may be behind.
        notice_every_s: A pod that waits for anything but its slot is told of after so long, and
            when that changes.
    """

    request_pauses_s: tuple[float, float] = (0.2, 8.0)
    unmet_s: float = 3.0
    quota_pauses_s: tuple[float, float] = (0.5, 10.0)
    quota_patience_s: float = 60.0
    log_pauses_s: tuple[float, float] = (0.3, 10.0)
    watch_pauses_s: tuple[float, float] = (0.1, 10.0)
    poll_every_s: float = 5.0
    watch_again_s: tuple[float, float] = (1.0, 300.0)
    list_limit_s: float = 30.0
    recheck_every_s: float = 1.0
    outage_patience_s: float = 60.0
    end_check_every_s: float = 5.0
    notice_every_s: float = 10.0


USUAL = Pauses()
"""The pauses of a backend that is given no others."""
