"""Value and gradient, side by side with other libraries and with loops by hand: `python -m benchmarks`.

`race` times contestants in turn, `bounds` says what the machine allows, `libraries` calls everybody in their own best
way. A workload is a function in `scalar`, `rows`, `dense`, `mixture` or `vectors`; `scaling` and `memory` measure gradc
alone; `report`, `plot` and `machine` tell the results.
"""
