"""An interpreter whose frames cannot be read gives none, and says why."""

from probe import Probe

probe = Probe(False)
total, _ = probe.many(100)
assert total == 0, total
print("status:", probe.status())
