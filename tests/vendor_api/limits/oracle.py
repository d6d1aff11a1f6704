"""What the limiters must answer, worked out anew each time from everything that was ever taken."""

from dataclasses import dataclass, field

from vendor_api.limits.policies import WINDOW_US, Bucket, Demand, Lease, Outcome


@dataclass
class Oracle:
    """One key's history: no state that could go wrong."""

    taken: list[tuple[int, str, int]] = field(default_factory=list)
    """When, which policy, how many microseconds; 0 for a mere question."""
    leases: list[tuple[int, str, Lease | None]] = field(default_factory=list)
    """When, which lease; with None: it ended."""

    def debt(self, policy: str, now: int) -> int:
        arrival = 0
        for at, name, interval in self.taken:
            if name != policy:
                continue
            arrival = min(arrival, at + WINDOW_US)
            if interval:
                arrival = max(arrival, at) + interval
        return min(max(arrival - now, 0), WINDOW_US)

    def active(self, now: int, asked: Lease) -> int:
        """Places in use, as seen by every question up to this one."""
        until: dict[str, int] = {}
        length = asked.seconds * 1_000_000
        for at, lease_id, lease in [*self.leases, (now, "", asked)]:
            if lease is None:
                until.pop(lease_id, None)
                continue
            until = {name: min(end, at + length) for name, end in until.items() if end > at}
            if lease_id:
                until[lease_id] = at + length
        return len(until)

    def take(self, now: int, demands: list[Demand], lease: Lease | None) -> Outcome:
        debts = [self.debt(demand.policy, now) for demand in demands]
        waits = [max(0, d + a.interval_us - WINDOW_US) for d, a in zip(debts, demands, strict=True)]
        active = 0 if lease is None else self.active(now, lease)
        admitted = not any(waits) and (lease is None or active < lease.limit)
        self.taken += [(now, demand.policy, 0) for demand in demands]
        if admitted:
            self.taken += [(now, demand.policy, demand.interval_us) for demand in demands]
            debts = [d + a.interval_us for d, a in zip(debts, demands, strict=True)]
        if lease is not None:
            self.leases.append((now, lease.id if admitted else "", lease))
            active += admitted
        buckets = tuple(Bucket(*pair) for pair in zip(debts, waits, strict=True))
        return Outcome(admitted, buckets, active, "process")

    def give_back(self, now: int, lease_id: str) -> None:
        self.leases.append((now, lease_id, None))
