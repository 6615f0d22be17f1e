-- What instances there are and what was done to them. The values of the enums are those of the StrEnums
-- innkeeper.model.instance.Status and Kind and innkeeper.model.messages.Outcome.

create type public.instance_status as enum (
  'provisioning', 'running', 'stopping', 'stopped', 'starting', 'restarting',
  'uninstalling', 'uninstalled', 'purging', 'purged', 'error'
);

create type public.operation_kind as enum (
  'provision', 'stop', 'start', 'restart', 'uninstall', 'purge'
);

create type public.operation_outcome as enum (
  'running', 'done', 'undone', 'left_behind', 'cancelled', 'superseded'
);

create table public.instances (
  -- Ordered by its bytes, so that pages are cut alike whatever the database's locale is.
  name text collate "C" primary key check (name ~ '^[a-z]([-a-z0-9]*[a-z0-9])?$' and length(name) <= 40),
  tenant text not null check (tenant <> ''),
  plan text not null check (plan <> ''),
  cluster text not null default 'default',
  namespace text not null unique,
  release text not null,
  status public.instance_status not null,
  settled public.instance_status
    check (settled in ('running', 'stopped', 'uninstalled', 'purged', 'error')),
  generation bigint not null default 0 check (generation >= 0),
  url text,
  revision integer check (revision > 0),
  cause jsonb check (jsonb_typeof(cause) = 'object'),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  -- A settled status is always the last settled one.
  check (status not in ('running', 'stopped', 'uninstalled', 'purged', 'error') or settled = status)
);

comment on table public.instances is 'One row an instance: one Helm release in one namespace. Written by Innkeeper only.';
comment on column public.instances.settled is 'The last settled status; null before the first. While an operation runs, `status` is a transitional one.';
comment on column public.instances.generation is 'Raised by every claim; every later write of an operation must match the generation of its claim.';
comment on column public.instances.revision is 'Helm''s revision that runs; null where nothing does.';
comment on column public.instances.cause is 'Why the status is `error`: code, message, object, fix.';

create table public.operations (
  id text primary key check (id <> '' and length(id) <= 200),
  seq bigint generated always as identity unique,
  digest text not null,
  kind public.operation_kind not null,
  instance text collate "C" not null references public.instances (name),
  tenant text not null,
  generation bigint not null,
  former public.instance_status,
  outcome public.operation_outcome not null default 'running',
  status public.instance_status,
  url text,
  revision integer check (revision > 0),
  cause jsonb check (jsonb_typeof(cause) = 'object'),
  steps jsonb not null default '[]' check (jsonb_typeof(steps) = 'array'),
  asked_by text not null default '',
  workflow_id text not null,
  run_id text not null,
  started_at timestamptz not null,
  ended_at timestamptz,
  unique (instance, generation),
  check ((outcome = 'running') = (ended_at is null))
);

comment on table public.operations is 'One row an operation, found by its request id for ever. Written by Innkeeper only.';
comment on column public.operations.id is 'The request id.';
comment on column public.operations.seq is 'The order in which operations were claimed: what pages are cut by.';
comment on column public.operations.digest is 'A fingerprint of the request''s arguments: the same id with another digest is refused.';
comment on column public.operations.former is 'The instance''s settled status before the operation; null where the operation made the instance.';
comment on column public.operations.status is 'The instance''s status that the operation ended in; null while it runs.';

-- Pages are read by keyset: instances by name, operations by seq, newest first, each narrowed by what is asked for.
create index instances_by_tenant on public.instances (tenant, name);
create index instances_by_status on public.instances (status, name);
create index instances_in_transition on public.instances (updated_at)
  where status in ('provisioning', 'stopping', 'starting', 'restarting', 'uninstalling', 'purging');
create index operations_by_instance on public.operations (instance, seq desc);
create index operations_by_tenant on public.operations (tenant, seq desc);
create index operations_by_kind on public.operations (kind, seq desc);
create index operations_running on public.operations (instance) where outcome = 'running';

create function public.innkeeper_touch() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  new.updated_at := clock_timestamp();
  return new;
end
$$;

create trigger instances_touch before update on public.instances
  for each row execute function public.innkeeper_touch();
