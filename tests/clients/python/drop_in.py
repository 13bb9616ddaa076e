"""The official Python SDK against a running gateway, used as its documentation shows.

Reads {"url": .., "keys": {..}} from standard input, runs every check, prints one line for each,
and ends with status 1 if one failed.
"""

import base64
import json
import struct
import sys
import traceback

import openai
from openai import OpenAI

HOUSE = json.load(sys.stdin)
HELLO = [{"role": "user", "content": "the river and the light"}]
# A white PNG of one pixel.
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8/5+hHgAHggJ/PchI7wAAAABJRU5ErkJggg=="
)
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
CLOCK = {
    "type": "function",
    "function": {
        "name": "get_time",
        "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}},
    },
}
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def client(key="ada", **options):
    options.setdefault("max_retries", 0)
    return OpenAI(base_url=HOUSE["url"] + "/v1", api_key=HOUSE["keys"].get(key, key), **options)


def raises(kind, act, status=None, code=None):
    try:
        act()
    except kind as error:
        assert type(error) is kind, f"{type(error).__name__} is only a relative of {kind.__name__}"
        if status is not None:
            assert error.status_code == status, f"status {error.status_code}, not {status}"
            assert error.request_id, "the error names no request"
        if code is not None:
            assert error.code == code, f"code {error.code}, not {code}: {error}"
        assert error.message
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


@check
def a_chat_is_answered():
    answer = client().chat.completions.create(model="chat", messages=HELLO)
    assert answer.choices[0].message.role == "assistant"
    assert len(answer.choices[0].message.content.split()) == 12
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.completion_tokens == 12
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 12


@check
def the_raw_answer_tells_tier_cost_and_request():
    raw = client().chat.completions.with_raw_response.create(model="chat", messages=HELLO)
    assert raw.headers["x-request-id"].startswith("req_")
    assert raw.headers["x-penstock-decision"] == "allowed"
    assert float(raw.headers["x-penstock-cost"]) > 0
    assert raw.parse().usage.completion_tokens == 12


@check
def a_stream_without_usage_has_none():
    stream = client().chat.completions.create(model="chat", messages=HELLO, stream=True)
    chunks = list(stream)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert len(text.split()) == 12, text
    assert all(chunk.choices for chunk in chunks), "a chunk without choices was not asked for"
    assert all(chunk.usage is None for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"


@check
def a_stream_with_usage_ends_with_it():
    stream = client().chat.completions.create(
        model="chat", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == 12
    assert all(chunk.usage is None for chunk in chunks[:-1])


@check
def a_stream_and_a_whole_answer_say_the_same():
    whole = client().chat.completions.create(model="chat", messages=HELLO, seed=7)
    stream = client().chat.completions.create(model="chat", messages=HELLO, seed=7, stream=True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert text == whole.choices[0].message.content


@check
def a_tool_is_called():
    answer = client().chat.completions.create(
        model="tools1", messages=HELLO, tools=[WEATHER], tool_choice="auto"
    )
    call = answer.choices[0].message.tool_calls[0]
    assert answer.choices[0].finish_reason == "tool_calls"
    assert call.function.name == "get_weather"
    assert "city" in json.loads(call.function.arguments)


@check
def parallel_tool_calls_are_streamed():
    stream = client().chat.completions.create(
        model="tools2",
        messages=HELLO,
        tools=[WEATHER, CLOCK],
        parallel_tool_calls=True,
        stream=True,
    )
    calls = {}
    for chunk in stream:
        for part in chunk.choices[0].delta.tool_calls or []:
            call = calls.setdefault(part.index, {"name": "", "arguments": ""})
            if part.id:
                call["id"] = part.id
            call["name"] += part.function.name or ""
            call["arguments"] += part.function.arguments or ""
    assert sorted(calls) == [0, 1], calls
    assert len({call["id"] for call in calls.values()}) == 2
    for call in calls.values():
        json.loads(call["arguments"])


@check
def a_tool_result_is_taken_back():
    messages = HELLO + [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "get_weather", "arguments": '{"city":"Bern"}'},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
    ]
    answer = client().chat.completions.create(model="chat", messages=messages, tools=[WEATHER])
    assert answer.choices[0].message.content or answer.choices[0].message.tool_calls


@check
def an_answer_keeps_the_schema_that_was_asked_for():
    schema = {
        "type": "object",
        "properties": {"river": {"type": "string"}, "miles": {"type": "integer"}},
        "required": ["river", "miles"],
        "additionalProperties": False,
    }
    answer = client().chat.completions.create(
        model="chat",
        messages=HELLO,
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "river", "strict": True, "schema": schema},
        },
    )
    assert set(json.loads(answer.choices[0].message.content)) == {"river", "miles"}


@check
def log_probabilities_come_along():
    answer = client().chat.completions.create(
        model="chat", messages=HELLO, logprobs=True, top_logprobs=2
    )
    content = answer.choices[0].logprobs.content
    assert len(content) == 12 and len(content[0].top_logprobs) == 2


@check
def several_choices_are_given_and_paid():
    answer = client().chat.completions.create(model="chat", messages=HELLO, n=3)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert answer.usage.completion_tokens == 36


@check
def a_bound_on_the_output_is_kept():
    for bound in ({"max_completion_tokens": 5}, {"max_tokens": 5}):
        answer = client().chat.completions.create(model="chat", messages=HELLO, **bound)
        assert answer.choices[0].finish_reason == "length"
        assert answer.usage.completion_tokens == 5


@check
def reasoning_is_counted_apart():
    answer = client().chat.completions.create(
        model="reasoner", messages=HELLO, reasoning_effort="high"
    )
    assert answer.usage.completion_tokens_details.reasoning_tokens > 0


@check
def images_go_by_url_and_by_data():
    for url in ("https://example.com/river.png", "data:image/png;base64," + PIXEL):
        parts = [
            {"type": "text", "text": "the river"},
            {"type": "image_url", "image_url": {"url": url, "detail": "low"}},
        ]
        answer = client().chat.completions.create(
            model="chat", messages=[{"role": "user", "content": parts}]
        )
        assert answer.usage.prompt_tokens > 85


@check
def fields_that_nobody_knows_go_through():
    answer = client().chat.completions.create(
        model="chat", messages=HELLO, extra_body={"priority": 3, "vendor_field": {"deep": [1]}}
    )
    assert answer.choices[0].message.content


@check
def a_helper_of_the_sdk_gathers_a_stream():
    with client().chat.completions.stream(model="chat", messages=HELLO) as stream:
        for _ in stream:
            pass
        final = stream.get_final_completion()
    assert len(final.choices[0].message.content.split()) == 12


@check
def embeddings_come_as_floats_and_as_bytes():
    # Without a format the SDK asks for base64 and decodes it.
    vectors = client().embeddings.create(model="embed", input=["the river", "the light"])
    plain = client().embeddings.create(
        model="embed", input=["the river", "the light"], encoding_format="float"
    )
    packed = client().embeddings.create(
        model="embed", input=["the river", "the light"], encoding_format="base64"
    )
    assert [item.index for item in vectors.data] == [0, 1]
    raw = base64.b64decode(packed.data[0].embedding)
    unpacked = struct.unpack(f"<{len(raw) // 4}f", raw)
    for a, b, c in zip(vectors.data[0].embedding, plain.data[0].embedding, unpacked):
        assert abs(a - b) < 1e-6 and abs(b - c) < 1e-6
    assert vectors.usage.prompt_tokens > 0


@check
def embeddings_can_be_shortened():
    answer = client().embeddings.create(model="embed", input="the river", dimensions=16)
    assert len(answer.data[0].embedding) == 16


@check
def models_are_those_that_the_key_may_use():
    names = [model.id for model in client().models.list()]
    assert "chat" in names and "embed" in names
    assert [model.id for model in client("narrow").models.list()] == ["chat"]


@check
def a_model_can_be_looked_up():
    assert client().models.retrieve("chat").id == "chat"
    raises(openai.NotFoundError, lambda: client().models.retrieve("nothing"), 404)
    raises(openai.NotFoundError, lambda: client("narrow").models.retrieve("embed"), 404)


def ask(key="ada", model="chat", messages=HELLO, **more):
    options = more.pop("options", {})
    return lambda: client(key, **options).chat.completions.create(
        model=model, messages=messages, **more
    )


@check
def a_malformed_request_is_a_bad_request():
    raises(openai.BadRequestError, ask(messages=[]), 400, "malformed_request")


@check
def what_policy_denies_is_a_bad_request():
    error = raises(openai.BadRequestError, ask(model="public-only"), 400, "policy_denied")
    assert error.type == "invalid_request_error"


@check
def a_wrong_key_is_an_authentication_error():
    raises(openai.AuthenticationError, ask("sk-nobody"), 401, "unauthenticated")


@check
def an_unknown_model_is_not_found():
    raises(openai.NotFoundError, ask(model="nothing"), 404, "model_not_found")
    raises(openai.NotFoundError, ask("narrow", model="tools1"), 404, "model_not_found")


@check
def a_body_that_is_too_large_is_refused():
    huge = [{"role": "user", "content": "the river " * 20_000}]
    raises(openai.APIStatusError, ask(messages=huge), 413, "body_too_large")


@check
def a_used_up_rate_is_a_rate_limit_error():
    ask("slow")()
    error = raises(openai.RateLimitError, ask("slow"), 429, "rate_limited")
    assert 1 <= int(error.response.headers["retry-after"]) <= 120


@check
def a_used_up_budget_is_a_rate_limit_error_that_is_not_tried_again():
    # With the SDK's own retries on: it must give up at once.
    error = raises(
        openai.RateLimitError, ask("poor", options={"max_retries": 2}), 429, "budget_exhausted"
    )
    assert error.type == "insufficient_quota"
    assert "retry-after" not in error.response.headers


@check
def a_failed_provider_is_an_internal_server_error():
    raises(openai.InternalServerError, ask(model="fails"), code="upstream_failed")


@check
def a_silent_provider_is_an_internal_server_error():
    raises(openai.InternalServerError, ask(model="hangs"), code="upstream_timeout")


def gathered(model):
    def act():
        text = []
        for chunk in ask(model=model, stream=True)():
            text.append(chunk.choices[0].delta.content or "")
        raise AssertionError(f"a broken stream ended well: {text}")

    return act


@check
def an_error_inside_a_stream_is_raised():
    raises(openai.APIError, gathered("errs"))


@check
def a_stream_that_breaks_off_is_never_a_silent_success():
    for model in ("breaks", "ends-early"):
        raises(openai.APIError, gathered(model), code="upstream_truncated")


failed = 0
for function in CHECKS:
    try:
        function()
        print("ok", function.__name__)
    except Exception:
        failed += 1
        print("FAILED", function.__name__)
        traceback.print_exc(file=sys.stdout)
print(f"{len(CHECKS) - failed} of {len(CHECKS)} checks hold with openai {openai.__version__}")
sys.exit(failed > 0)
