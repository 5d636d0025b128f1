"""A watchdog that asks a model whether all is well. No costspan here: see `heartbeat` in agent.py."""

import skills

for beat in range(1, 4):
    print(f"  {f'Heartbeat {beat}':28}{skills.check('Is there a letter that nobody has read?')[:60]}")
