// The admin client of the official JavaScript SDK: the life of a project, from its making to its
// end.
//
// Reads {"url": .., "admin_url": .., "keys": {..}} from standard input and ends with status 1 if
// something is not as it should be. Administration goes to the admin listener.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import OpenAI from "openai";
import { VERSION } from "openai/version";

const house = JSON.parse(readFileSync(0, "utf8"));
const messages = [{ role: "user", content: "the river and the light" }];
const administer = (adminAPIKey) =>
  new OpenAI({ baseURL: `${house.admin_url}/v1`, adminAPIKey, maxRetries: 0 }).admin.organization;
const org = administer(house.keys.boss);

function chat(apiKey, model = "chat") {
  const client = new OpenAI({ baseURL: `${house.url}/v1`, apiKey, maxRetries: 0 });
  return client.chat.completions.create({ model, messages });
}

async function fails(act, kind, code) {
  let error;
  try {
    await act();
  } catch (caught) {
    error = caught;
  }
  assert.ok(error, `${kind.name} was not thrown`);
  assert.equal(error.constructor, kind, `${error.constructor.name}: ${error.message}`);
  if (code !== undefined) assert.equal(error.code, code, error.message);
}

// What a running gateway sees a moment later.
async function until(what, act) {
  const end = Date.now() + 20_000;
  for (;;) {
    let found;
    try {
      found = await act();
      if (found) return found;
    } catch (error) {
      if (!(error instanceof OpenAI.APIError)) throw error;
      found = error;
    }
    assert.ok(Date.now() < end, `${what}: ${found}`);
    await setTimeout(50);
  }
}

async function refused(apiKey, kind, model) {
  try {
    await chat(apiKey, model);
  } catch (error) {
    if (error instanceof kind) return error;
    throw error;
  }
  return undefined;
}

async function all(pages) {
  const found = [];
  for await (const item of pages) found.push(item);
  return found;
}

const now = () => Math.floor(Date.now() / 1000);
const start = now() - 60;

// === a project with a machine in it, whose key calls models
const project = await org.projects.create({ name: "harbour" });
const project_id = project.id;
assert.equal(project.status, "active");
assert.equal((await org.projects.update(project_id, { name: "haven" })).name, "haven");
await fails(() => org.projects.create({ name: "haven" }), OpenAI.ConflictError, "name_taken");
const made = await org.projects.serviceAccounts.create(project_id, { name: "pilot" });
const secret = made.api_key.value;
assert.match(secret, /^psk_/);
assert.ok((await until("the first answer", () => chat(secret))).choices[0].message.content);
const more = await org.projects.serviceAccounts.apiKeys.create(made.id, {
  project_id,
  expires_in_seconds: 600,
});
assert.ok(more.expires_at <= now() + 601);
const keys = await all(org.projects.apiKeys.list(project_id, { limit: 1 }));
assert.deepEqual(keys.map((key) => key.id), [made.api_key.id, more.id]);
assert.equal(keys[0].owner.service_account.id, made.id);
const narrowed = { project_id, scopes: ["api.model.read"] };
assert.equal((await org.projects.apiKeys.update(more.id, narrowed)).id, more.id);
assert.ok((await org.projects.apiKeys.delete(more.id, { project_id })).deleted);
await until("the end of a key", () => refused(more.value, OpenAI.AuthenticationError));

// === limits, and which models
const limits = await all(org.projects.rateLimits.listRateLimits(project_id, { limit: 1 }));
const limit = limits.find((it) => it.model === "chat");
assert.equal(limit.max_requests_per_1_minute, Number.MAX_SAFE_INTEGER);
const set = (max_requests_per_1_minute) =>
  org.projects.rateLimits.updateRateLimit(limit.id, { project_id, max_requests_per_1_minute });
assert.equal((await set(1)).max_requests_per_1_minute, 1);
await until("a used-up rate", () => refused(secret, OpenAI.RateLimitError));
await set(Number.MAX_SAFE_INTEGER);
await until("the end of the limit", () => chat(secret, "other"));
const denied = { mode: "deny_list", model_ids: ["other"] };
assert.deepEqual((await org.projects.modelPermissions.update(project_id, denied)).model_ids, [
  "other",
]);
const error = await until("a denied model", () => refused(secret, OpenAI.NotFoundError, "other"));
assert.equal(error.code, "model_not_found");
assert.equal((await org.projects.modelPermissions.retrieve(project_id)).mode, "deny_list");
await chat(secret);
assert.ok((await org.projects.modelPermissions.delete(project_id)).deleted);

// === people and keys for administration
const [user] = await all(org.users.list({ emails: ["ada@example.com"] }));
assert.equal(user.role, "reader");
const member = await org.projects.users.create(project_id, { user_id: user.id, role: "member" });
assert.equal(member.role, "member");
assert.deepEqual((await all(org.projects.users.list(project_id))).map((it) => it.id), [user.id]);
assert.ok((await org.projects.users.delete(user.id, { project_id })).deleted);
const group = await org.groups.create({ name: "crew" });
await org.groups.users.create(group.id, { user_id: user.id });
assert.equal((await all(org.groups.users.list(group.id, { limit: 1 }))).length, 1);
assert.ok((await org.groups.delete(group.id)).deleted);
const roles = await all(org.roles.list({ limit: 2 }));
assert.ok(roles.length > 5 && roles.every((role) => role.predefined_role));
const invite = await org.invites.create({ email: "kim@example.com", role: "reader" });
assert.equal(invite.status, "pending");
assert.ok((await org.invites.delete(invite.id)).deleted);
const key = await org.adminAPIKeys.create({ name: "deploy", expires_in_seconds: 600 });
assert.equal((await administer(key.value).projects.retrieve(project_id)).id, project_id);
assert.ok((await all(org.adminAPIKeys.list({ limit: 1 }))).some((it) => it.id === key.id));
assert.ok((await org.adminAPIKeys.delete(key.id)).deleted);
await fails(() => administer(key.value).projects.list(), OpenAI.AuthenticationError);

// === what it used and cost
const results = (page) => page.data.flatMap((bucket) => bucket.results);
const used = await until("usage of both models", async () => {
  const query = { start_time: start, group_by: ["model", "api_key_id"], project_ids: [project_id] };
  const found = results(await org.usage.completions(query));
  return found.length === 2 && found;
});
assert.ok(used.every((it) => it.api_key_id === made.api_key.id && it.output_tokens >= 12));
const costs = results(await org.usage.costs({ start_time: start, group_by: ["project_id"] }));
assert.ok(costs.find((it) => it.project_id === project_id).amount.value > 0);

// === the end, and what is written of it
assert.ok((await org.projects.serviceAccounts.delete(made.id, { project_id })).deleted);
await until("the end of the key", () => refused(secret, OpenAI.AuthenticationError));
assert.equal((await org.projects.archive(project_id)).status, "archived");
const events = await all(
  org.auditLogs.list({
    resource_ids: [project_id],
    event_types: ["project.created", "project.archived"],
    effective_at: { gte: start },
    limit: 1,
  }),
);
assert.deepEqual(events.map((it) => it.type), ["project.archived", "project.created"]);
assert.equal(events[1]["project.created"].id, project_id);
await fails(() => org.certificates.list(), OpenAI.NotFoundError, "unsupported");
console.log(`the life of a project holds with openai ${VERSION}`);
