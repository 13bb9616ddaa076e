"""The official Python SDK with a person's credential, fetched by a command as helpers do.

Reads {"url": .., "penstock": .., "config": ..} from standard input: the gateway, the program, and
the folder in which it keeps a sign-in.
"""

import json
import os
import subprocess
import sys

from openai import OpenAI

TOLD = json.load(sys.stdin)


def credential():
    env = {**os.environ, "XDG_CONFIG_HOME": TOLD["config"]}
    ran = subprocess.run([TOLD["penstock"], "token"], env=env, capture_output=True, check=True)
    return ran.stdout.decode().strip()


client = OpenAI(base_url=TOLD["url"] + "/v1", api_key=credential, max_retries=0)
models = [model.id for model in client.models.list()]
assert models == ["m"], models
answer = client.chat.completions.create(
    model="m", messages=[{"role": "user", "content": "the river and the light"}]
)
assert answer.choices[0].message.content, answer
print("signed in, listed", models, "and asked one of them")
