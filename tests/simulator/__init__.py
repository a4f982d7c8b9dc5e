"""A deterministic simulator: worlds in which people click, processes die, Slack and databases fail, and clocks jump.

Real are the desk, the ledger (a SQLite file), the engine with its runbooks, the worker, the announcer, the listeners, the
rules about people and the jobs of the clock. Simulated are what they talk to: Slack's transport, the target's database, time
and chance. One thread; whatever happens in a world follows from its seed.

`python -m tests.simulator --worlds 20000 --seed 1`; `--world SEED` replays one and prints everything that happened.
"""
