"""A task, run once, with a result.

Run it:

    flyte run examples/hello.py hello --name Ada
"""

import flyte

env = flyte.TaskEnvironment(name="hello")


@env.task
async def hello(name: str = "world") -> str:
    print(f"greeting {name}")  # what a task prints is its log: flyte get logs RUN
    return f"Hello, {name}!"


if __name__ == "__main__":
    flyte.init_from_config()
    run = flyte.run(hello, name="Ada")
    run.wait()
    print(run.url, run.outputs())
