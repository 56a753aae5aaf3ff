"""What this machine can run, found out without falling over: every fault of a library or driver is a finding.

Nothing of a vendor is imported into the doctor's own process. Each question that only a vendor's library can answer is
put in a process of its own, which may crash or hang (`runtime.doctor.probe`).
"""
