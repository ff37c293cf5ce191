"""Tasks that start by themselves: on the clock (cron), and at a steady pace (fixed rate).

Deploy them, look at them, stop one:

    flyte deploy examples/scheduled.py env
    flyte get trigger
    flyte update trigger every_minute scheduled.report --deactivate
"""

from datetime import datetime

import flyte

env = flyte.TaskEnvironment(name="scheduled")

# Five fields, as in crontab: minute, hour, day of the month, month, day of the week. A time zone may follow:
# flyte.Cron("0 9 * * mon-fri", timezone="Europe/Vienna").
every_minute = flyte.Trigger(
    name="every_minute",
    automation=flyte.Cron("* * * * *"),
    # TriggerTime becomes the moment the schedule meant, even when the run starts late.
    inputs={"at": flyte.TriggerTime, "city": "Vienna"},
)


@env.task(triggers=every_minute)
async def report(at: datetime, city: str) -> str:
    line = f"{city}: report for {at:%Y-%m-%d %H:%M}"
    print(line)
    return line


# A fixed rate counts from the moment of the deployment, whatever the clock says.
every_hour = flyte.Trigger(
    name="every_hour",
    automation=flyte.FixedRate(interval_minutes=60),
    inputs={"at": flyte.TriggerTime},
)


@env.task(triggers=every_hour)
async def tidy(at: datetime) -> int:
    print(f"tidying up at {at:%H:%M}")
    return at.hour
