"""The admin client of the official Python SDK: the life of a project, from its making to its end.

Reads {"url": .., "admin_url": .., "keys": {..}} from standard input and ends with status 1 if
something is not as it should be. The calls and the administration go to one address.
"""

import json
import sys
import time

import openai
from openai import OpenAI

HOUSE = json.load(sys.stdin)
BASE = HOUSE["url"] + "/v1"
CLIENT = OpenAI(base_url=BASE, admin_api_key=HOUSE["keys"]["boss"], max_retries=0)
ORG = CLIENT.admin.organization
HELLO = [{"role": "user", "content": "the river and the light"}]
# The greatest whole number of every JSON reader: no limit.
NO_LIMIT = 2**53 - 1


# Answers that came, by model.
ANSWERS = {"chat": 0, "other": 0}


def chat(secret, model="chat"):
    client = OpenAI(base_url=BASE, api_key=secret, max_retries=0)
    answer = client.chat.completions.create(model=model, messages=HELLO)
    ANSWERS[model] += 1
    return answer


def fails(act, kind, code=None):
    try:
        act()
    except kind as error:
        assert type(error) is kind, f"{type(error).__name__}: {error}"
        assert code is None or error.code == code, f"{error.code}: {error}"
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


def until(what, act):
    """What a running gateway sees a moment later."""
    end = time.monotonic() + 20
    while True:
        try:
            found = act()
            if found:
                return found
        except openai.APIError as error:
            found = error
        assert time.monotonic() < end, f"{what}: {found!r}"
        time.sleep(0.05)


def refused(secret, kind, model="chat"):
    try:
        chat(secret, model)
    except kind as error:
        return error
    return None


# === a project with a machine in it, whose key calls models
start = int(time.time()) - 60
project = ORG.projects.create(name="harbour")
assert (project.object, project.status, project.name) == (
    "organization.project",
    "active",
    "harbour",
)
assert start < project.created_at <= time.time() + 60 and project.archived_at is None
assert ORG.projects.update(project.id, name="haven").name == "haven"
assert ORG.projects.retrieve(project.id).name == "haven"
fails(lambda: ORG.projects.create(name="haven"), openai.ConflictError, "name_taken")

made = ORG.projects.service_accounts.create(project.id, name="pilot", expires_in_seconds=3600)
assert made.role == "member" and made.api_key.value.startswith("psk_")
assert made.api_key.expires_at - made.api_key.created_at in range(3500, 3700)
secret = made.api_key.value
answer = until("the first answer", lambda: chat(secret))
assert len(answer.choices[0].message.content.split()) == 12

bare = ORG.projects.service_accounts.create(
    project.id, name="mate", create_service_account_only=True
)
assert bare.api_key is None
more = ORG.projects.service_accounts.api_keys.create(
    bare.id, project_id=project.id, name="mate's", scopes=["models"]
)
narrow = OpenAI(base_url=BASE, api_key=more.value, max_retries=0)
until("a narrow key", lambda: narrow.models.list().data)
assert refused(more.value, openai.PermissionDeniedError), "a key that only lists models called one"
accounts = [it.name for it in ORG.projects.service_accounts.list(project.id, limit=1)]
assert accounts == ["pilot", "mate"], accounts
renamed = ORG.projects.service_accounts.update(
    bare.id, project_id=project.id, name="deckhand", role="owner"
)
assert (renamed.name, renamed.role) == ("deckhand", "owner")
keys = {it.id: it for it in ORG.projects.api_keys.list(project.id, limit=1)}
assert set(keys) == {made.api_key.id, more.id}
first = keys[made.api_key.id]
assert first.owner.service_account.id == made.id and first.owner_project_access == "active"
assert secret not in first.redacted_value and secret[4:] not in str(first)
updated = ORG.projects.api_keys.update(
    more.id, project_id=project.id, scopes=[], expires_in_seconds=60
)
assert updated.expires_at <= time.time() + 61
until("a widened key", lambda: chat(more.value))
gone = ORG.projects.api_keys.delete(more.id, project_id=project.id)
assert (gone.id, gone.deleted) == (more.id, True)
until("the end of a key", lambda: refused(more.value, openai.AuthenticationError))

# === limits, by model and id
limits = {it.model: it for it in ORG.projects.rate_limits.list_rate_limits(project.id, limit=1)}
assert {"chat", "embed", "other"} <= set(limits), limits
assert limits["chat"].max_requests_per_1_minute == NO_LIMIT
limit = ORG.projects.rate_limits.update_rate_limit(
    limits["chat"].id, project_id=project.id, max_requests_per_1_minute=1
)
assert (limit.model, limit.max_requests_per_1_minute) == ("chat", 1)
error = until("a used-up rate", lambda: refused(secret, openai.RateLimitError))
assert error.code == "rate_limited", error.code
fails(
    lambda: ORG.projects.rate_limits.update_rate_limit(
        limits["chat"].id, project_id=project.id, max_images_per_1_minute=1
    ),
    openai.BadRequestError,
    "invalid",
)
freed = ORG.projects.rate_limits.update_rate_limit(
    limits["chat"].id, project_id=project.id, max_requests_per_1_minute=NO_LIMIT
)
assert freed.max_requests_per_1_minute == NO_LIMIT
until("the end of the limit", lambda: chat(secret))

# === which models
permissions = ORG.projects.model_permissions
assert permissions.retrieve(project.id).to_dict() == {
    "object": "project.model_permissions",
    "mode": "deny_list",
    "model_ids": [],
}
until("an answer of the other model", lambda: chat(secret, "other"))
denied = permissions.update(project.id, mode="deny_list", model_ids=["other"])
assert (denied.mode, denied.model_ids) == ("deny_list", ["other"])
error = until("a denied model", lambda: refused(secret, openai.NotFoundError, "other"))
assert error.code == "model_not_found", error.code
chat(secret)
allowed = permissions.update(project.id, mode="allow_list", model_ids=["other"])
assert permissions.retrieve(project.id).mode == allowed.mode == "allow_list"
until("a model that is not listed", lambda: refused(secret, openai.NotFoundError, "chat"))
fails(
    lambda: permissions.update(project.id, mode="allow_list", model_ids=["nothing"]),
    openai.BadRequestError,
    "invalid",
)
assert permissions.delete(project.id).deleted
until("every model again", lambda: chat(secret))

# === people
user = next(it for it in ORG.users.list(emails=["ada@example.com"]))
assert user.name == "ada" and user.role == "reader"
assert ORG.users.update(user.id, role="auditor").role == "auditor"
assert ORG.users.update(user.id, role="reader").role == "reader"
member = ORG.projects.users.create(project.id, user_id=user.id, role="member")
assert (member.role, member.email) == ("member", "ada@example.com")
assert ORG.projects.users.update(user.id, project_id=project.id, role="owner").role == "owner"
assert [it.id for it in ORG.projects.users.list(project.id)] == [user.id]
fails(
    lambda: ORG.projects.users.create(project.id, email="ada@example.com", role="member"),
    openai.ConflictError,
)
assert ORG.projects.users.delete(user.id, project_id=project.id).deleted
fails(
    lambda: ORG.projects.users.retrieve(user.id, project_id=project.id),
    openai.NotFoundError,
    "not_found",
)
assert ORG.users.retrieve(user.id).id == user.id, "the user is still one of the org"

group = ORG.groups.create(name="crew")
ORG.groups.users.create(group.id, user_id=user.id)
assert [it.id for it in ORG.groups.users.list(group.id)] == [user.id]
ORG.projects.groups.create(project.id, group_id=group.id, role="member")
assert [it.group_id for it in ORG.projects.groups.list(project.id)] == [group.id]
role = ORG.roles.create(role_name="lookout", permissions=["usage.read"], description="looks")
assert ORG.groups.roles.create(group.id, role_id=role.id).role.id == role.id
assert [it.name for it in ORG.groups.roles.list(group.id)] == ["lookout"]
assert [it.name for it in ORG.roles.list(limit=3) if not it.predefined_role] == ["lookout"]
ORG.groups.roles.delete(role.id, group_id=group.id)
assert ORG.roles.delete(role.id).deleted
assert ORG.groups.update(group.id, name="crew 2").name == "crew 2"
assert ORG.groups.delete(group.id).deleted
assert list(ORG.projects.groups.list(project.id)) == []

invite = ORG.invites.create(
    email="kim@example.com", role="reader", projects=[{"id": project.id, "role": "owner"}]
)
assert (invite.status, invite.role, invite.projects[0].role) == ("pending", "reader", "owner")
fails(lambda: ORG.invites.create(email="kim@example.com", role="reader"), openai.ConflictError)
assert [it.id for it in ORG.invites.list()] == [invite.id]
assert ORG.invites.delete(invite.id).deleted
fails(lambda: ORG.invites.retrieve(invite.id), openai.NotFoundError, "not_found")

# === keys for administration
key = ORG.admin_api_keys.create(name="deploy", expires_in_seconds=600)
assert key.value.startswith("psa_") and key.expires_at <= time.time() + 601
child = OpenAI(base_url=BASE, admin_api_key=key.value, max_retries=0)
assert child.admin.organization.projects.retrieve(project.id).id == project.id
grandchild = child.admin.organization.admin_api_keys.create(name="further")
assert grandchild.expires_at <= key.expires_at, "a key that a key made outlives it"
names = [it.name for it in ORG.admin_api_keys.list(limit=1, order="desc")]
assert names[:2] == ["further", "deploy"], names
assert ORG.admin_api_keys.retrieve(key.id).owner.name == "boss"
assert ORG.admin_api_keys.delete(key.id).deleted
fails(child.admin.organization.admin_api_keys.list, openai.AuthenticationError, "unauthenticated")

# === what it used and cost
def used():
    page = ORG.usage.completions(
        start_time=start,
        bucket_width="1d",
        group_by=["project_id", "model"],
        project_ids=[project.id],
    )
    found = {result.model: result for bucket in page.data for result in bucket.results}
    counts = {model: result.num_model_requests for model, result in found.items()}
    return found if counts == ANSWERS else None


by_model = until("usage of every answer", used)
other = by_model["other"]
assert other.output_tokens == 12 * other.num_model_requests, other
assert {it.project_id for it in by_model.values()} == {project.id}
page = ORG.usage.completions(start_time=start - 3600, bucket_width="1m", limit=10)
assert page.has_more and len(page.data) == 10
seen = [bucket.start_time for bucket in page.data]
while page.has_more:
    page = ORG.usage.completions(
        start_time=start - 3600, bucket_width="1m", limit=30, page=page.next_page
    )
    seen += [bucket.start_time for bucket in page.data]
assert seen == list(range(seen[0], seen[0] + 60 * len(seen), 60)) and 60 <= len(seen)
costs = ORG.usage.costs(start_time=start, group_by=["line_item"], project_ids=[project.id])
items = {it.line_item: it.amount for bucket in costs.data for it in bucket.results}
assert items["other, output"].currency == "usd", items
assert abs(items["other, output"].value - other.output_tokens * 2e-6) < 1e-12, items
whole = ORG.usage.costs(start_time=start, project_ids=[project.id])
total = sum(it.amount.value for bucket in whole.data for it in bucket.results)
assert abs(total - sum(it.value for it in items.values())) < 1e-9
assert all(not bucket.results for bucket in ORG.usage.embeddings(start_time=start).data)

# === the end, and what is written of it
assert ORG.projects.service_accounts.delete(made.id, project_id=project.id).deleted
until("the end of the key", lambda: refused(secret, openai.AuthenticationError))
archived = ORG.projects.archive(project.id)
assert archived.status == "archived" and start < archived.archived_at
assert project.id not in [it.id for it in ORG.projects.list()]
assert project.id in [it.id for it in ORG.projects.list(include_archived=True, limit=1)]

events = list(ORG.audit_logs.list(resource_ids=[project.id], limit=2))
kinds = [event.type for event in events]
assert kinds[0] == "project.archived" and kinds[-1] == "project.created", kinds
assert kinds.count("project.updated") > 2
assert {event.actor.api_key.user.id for event in events} == {
    next(it.id for it in ORG.users.list() if it.name == "boss")
}
boss = events[0].actor.api_key.user.id
made_keys = ORG.audit_logs.list(
    event_types=["api_key.created"],
    actor_ids=[boss],
    project_ids=[project.id],
    effective_at={"gte": start, "lt": int(time.time()) + 60},
)
assert sorted(it.api_key_created.id for it in made_keys) == sorted([made.api_key.id, more.id])
assert list(ORG.audit_logs.list(actor_emails=["nobody@example.com"])) == []
assert list(ORG.audit_logs.list(effective_at={"lt": start - 3600})) == []
newest = ORG.audit_logs.list(limit=5).data
before = ORG.audit_logs.list(before=newest[2].id, limit=5).data
assert [it.id for it in before] == [it.id for it in newest[:2]]
assert secret not in json.dumps([it.to_dict() for it in ORG.audit_logs.list(limit=100)])

# === what there is not says so
for act in (
    ORG.certificates.list,
    ORG.spend_alerts.list,
    ORG.data_retention.retrieve,
    lambda: ORG.usage.images(start_time=start),
    lambda: ORG.projects.spend_limit.retrieve(project.id),
    lambda: ORG.projects.roles.list(project.id),
):
    fails(act, openai.NotFoundError, "unsupported")
print(f"the life of a project holds with openai {openai.__version__}")
