// The official JavaScript SDK against a running gateway, used as its documentation shows.
//
// Reads {"url": .., "keys": {..}} from standard input, runs every check, prints one line for each,
// and ends with status 1 if one failed.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import OpenAI from "openai";
import { VERSION } from "openai/version";

const house = JSON.parse(readFileSync(0, "utf8"));
const hello = [{ role: "user", content: "the river and the light" }];
const weather = {
  type: "function",
  function: {
    name: "get_weather",
    parameters: {
      type: "object",
      properties: { city: { type: "string" } },
      required: ["city"],
      additionalProperties: false,
    },
  },
};
const clock = {
  type: "function",
  function: {
    name: "get_time",
    parameters: { type: "object", properties: { zone: { type: "string" } } },
  },
};

function client(key = "ada", options = {}) {
  const apiKey = house.keys[key] ?? key;
  return new OpenAI({ baseURL: `${house.url}/v1`, apiKey, maxRetries: 0, ...options });
}

const ask = (fields = {}, key = "ada", options = {}) =>
  client(key, options).chat.completions.create({ model: "chat", messages: hello, ...fields });

async function raises(kind, act, status, code) {
  let error;
  try {
    await act();
  } catch (caught) {
    error = caught;
  }
  assert.ok(error, `${kind.name} was not thrown`);
  assert.equal(error.constructor, kind, `${error.constructor.name}: ${error.message}`);
  if (status !== undefined) {
    assert.equal(error.status, status);
    assert.ok(error.requestID, "the error names no request");
  }
  if (code !== undefined) assert.equal(error.code, code, error.message);
  return error;
}

async function gathered(model) {
  let text = "";
  for await (const chunk of await ask({ model, stream: true })) {
    text += chunk.choices[0].delta.content ?? "";
  }
  assert.fail(`a broken stream ended well: ${text}`);
}

const checks = {
  async aChatIsAnswered() {
    const answer = await ask();
    assert.equal(answer.choices[0].message.content.split(" ").length, 12);
    assert.equal(answer.usage.completion_tokens, 12);
  },

  async theRawAnswerTellsTierCostAndRequest() {
    const { data, response, request_id } = await ask().withResponse();
    assert.match(request_id, /^req_/);
    assert.equal(response.headers.get("x-penstock-decision"), "allowed");
    assert.ok(Number(response.headers.get("x-penstock-cost")) > 0);
    assert.equal(data.usage.completion_tokens, 12);
  },

  async aStreamWithoutUsageHasNone() {
    let text = "";
    for await (const chunk of await ask({ stream: true })) {
      assert.equal(chunk.choices.length, 1);
      assert.equal(chunk.usage ?? null, null);
      text += chunk.choices[0].delta.content ?? "";
    }
    assert.equal(text.split(" ").length, 12);
  },

  async aStreamWithUsageEndsWithIt() {
    const chunks = [];
    const stream_options = { include_usage: true };
    for await (const chunk of await ask({ stream: true, stream_options })) chunks.push(chunk);
    assert.deepEqual(chunks.at(-1).choices, []);
    assert.equal(chunks.at(-1).usage.completion_tokens, 12);
  },

  async aStreamCanBeLeft() {
    const stream = await ask({ stream: true, model: "endless" });
    for await (const _chunk of stream) break;
    assert.ok(stream.controller.signal.aborted);
  },

  async parallelToolCallsAreStreamed() {
    const calls = [];
    const tools = [weather, clock];
    for await (const chunk of await ask({ model: "tools2", tools, stream: true })) {
      for (const part of chunk.choices[0].delta.tool_calls ?? []) {
        const call = (calls[part.index] ??= { id: part.id, name: "", arguments: "" });
        call.name += part.function.name ?? "";
        call.arguments += part.function.arguments ?? "";
      }
    }
    assert.equal(calls.length, 2);
    assert.notEqual(calls[0].id, calls[1].id);
    for (const call of calls) JSON.parse(call.arguments);
  },

  async theSdkGathersToolCallsItself() {
    const tools = [weather, clock];
    const stream = client().chat.completions.stream({ model: "tools2", messages: hello, tools });
    const answer = await stream.finalChatCompletion();
    assert.equal(answer.choices[0].finish_reason, "tool_calls");
    assert.equal(answer.choices[0].message.tool_calls.length, 2);
  },

  async anAnswerKeepsTheSchemaThatWasAskedFor() {
    const schema = {
      type: "object",
      properties: { river: { type: "string" }, miles: { type: "integer" } },
      required: ["river", "miles"],
      additionalProperties: false,
    };
    const json_schema = { name: "river", strict: true, schema };
    const answer = await ask({ response_format: { type: "json_schema", json_schema } });
    assert.deepEqual(Object.keys(JSON.parse(answer.choices[0].message.content)).sort(), [
      "miles",
      "river",
    ]);
  },

  async logProbabilitiesAndSeveralChoicesComeAlong() {
    const answer = await ask({ n: 2, logprobs: true, top_logprobs: 2 });
    assert.equal(answer.choices.length, 2);
    assert.equal(answer.choices[1].logprobs.content.length, 12);
  },

  async imagesGoByUrlAndByData() {
    for (const url of ["https://example.com/river.png", "data:image/png;base64,iVBORw0KGgo="]) {
      const content = [
        { type: "text", text: "the river" },
        { type: "image_url", image_url: { url } },
      ];
      const answer = await ask({ messages: [{ role: "user", content }] });
      assert.ok(answer.usage.prompt_tokens > 85);
    }
  },

  async embeddingsComeAsFloatsAndAsBytes() {
    const input = ["the river", "the light"];
    const usual = await client().embeddings.create({ model: "embed", input });
    const plain = await client().embeddings.create({
      model: "embed",
      input,
      encoding_format: "float",
    });
    assert.equal(usual.data.length, 2);
    usual.data[0].embedding.forEach((value, at) => {
      assert.ok(Math.abs(value - plain.data[0].embedding[at]) < 1e-6);
    });
  },

  async modelsAreThoseThatTheKeyMayUse() {
    const names = async (key) => {
      const found = [];
      for await (const model of client(key).models.list()) found.push(model.id);
      return found;
    };
    assert.ok((await names("ada")).includes("embed"));
    assert.deepEqual(await names("narrow"), ["chat"]);
    assert.equal((await client().models.retrieve("chat")).id, "chat");
    await raises(OpenAI.NotFoundError, () => client().models.retrieve("nothing"), 404);
  },

  async aMalformedRequestIsABadRequest() {
    await raises(OpenAI.BadRequestError, () => ask({ messages: [] }), 400, "malformed_request");
  },

  async whatPolicyDeniesIsABadRequest() {
    await raises(OpenAI.BadRequestError, () => ask({ model: "public-only" }), 400, "policy_denied");
  },

  async aWrongKeyIsAnAuthenticationError() {
    await raises(OpenAI.AuthenticationError, () => ask({}, "sk-nobody"), 401, "unauthenticated");
  },

  async anUnknownModelIsNotFound() {
    await raises(OpenAI.NotFoundError, () => ask({ model: "nothing" }), 404, "model_not_found");
  },

  async aBodyThatIsTooLargeIsRefused() {
    const messages = [{ role: "user", content: "the river ".repeat(20_000) }];
    await raises(OpenAI.APIError, () => ask({ messages }), 413, "body_too_large");
  },

  async aUsedUpRateIsARateLimitError() {
    await ask({}, "slow-js");
    const error = await raises(OpenAI.RateLimitError, () => ask({}, "slow-js"), 429, "rate_limited");
    const wait = Number(error.headers.get("retry-after"));
    assert.ok(Number.isInteger(wait) && 1 <= wait && wait <= 120);
  },

  async aUsedUpBudgetIsNotTriedAgain() {
    const act = () => ask({}, "poor", { maxRetries: 2 });
    const error = await raises(OpenAI.RateLimitError, act, 429, "budget_exhausted");
    assert.equal(error.type, "insufficient_quota");
  },

  async aFailedOrSilentProviderIsAnInternalServerError() {
    const code = { fails: "upstream_failed", hangs: "upstream_timeout" };
    for (const model of Object.keys(code)) {
      await raises(OpenAI.InternalServerError, () => ask({ model }), undefined, code[model]);
    }
  },

  async anErrorInsideAStreamIsThrown() {
    await raises(OpenAI.APIError, () => gathered("errs"));
  },

  async aStreamThatBreaksOffIsNeverASilentSuccess() {
    for (const model of ["breaks", "ends-early"]) {
      await raises(OpenAI.APIError, () => gathered(model), undefined, "upstream_truncated");
    }
  },
};

let failed = 0;
for (const [name, check] of Object.entries(checks)) {
  try {
    await check();
    console.log("ok", name);
  } catch (error) {
    failed += 1;
    console.log("FAILED", name, error);
  }
}
const count = Object.keys(checks).length;
console.log(`${count - failed} of ${count} checks hold with openai ${VERSION}`);
process.exitCode = failed > 0 ? 1 : 0;
