"""Everything goes wrong, again and again, and afterwards all that docs/guarantees.md promises is true.

plan.py draws the disturbances from a seed, system.py is what they happen to, sinks.py is what contacts receive,
checks.py is what must be true, runner.py brings them together; `script/chaos` runs it for long, test_chaos.py briefly.
"""
