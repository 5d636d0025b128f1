"""A watchdog that asks a model whether all is well. No costspan here: see `heartbeat` in agent.py."""

import skills

for beat in range(1, 4):
    print(f"  {skills.check(f'Beat {beat}: are there letters that nobody has read?')[:100]}")
