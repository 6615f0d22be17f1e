-- Who may see what: a tenant its own rows, anonymous callers nothing. Nobody but the service role writes, since no
-- policy lets them; the privileges say the same once more.

-- The tenant a request speaks for. `app_metadata` is set by the service role only, unlike `user_metadata`, which
-- users write themselves. Without a tenant there, a user is a tenant of its own. The names in this body are resolved
-- now and not when it runs, so it needs no search path, and its callers need no right to look into the schema auth.
create function public.innkeeper_tenant() returns text
language sql
stable
security invoker
return coalesce(auth.jwt() -> 'app_metadata' ->> 'tenant', auth.jwt() ->> 'sub');

revoke execute on function public.innkeeper_tenant, public.innkeeper_touch from public, anon, authenticated;
grant execute on function public.innkeeper_tenant to authenticated, service_role;

alter table public.instances enable row level security;
alter table public.operations enable row level security;

-- The subquery makes Postgres ask for the tenant once a statement rather than once a row.
create policy "a tenant reads its own instances" on public.instances
  for select to authenticated using (tenant = (select public.innkeeper_tenant()));
create policy "a tenant reads its own operations" on public.operations
  for select to authenticated using (tenant = (select public.innkeeper_tenant()));

revoke all on public.instances, public.operations from public, anon, authenticated;
revoke all on sequence public.operations_seq_seq from public, anon, authenticated;
grant select on public.instances, public.operations to authenticated;
grant select, insert, update, delete on public.instances, public.operations to service_role;

-- What a tenant's own pages show; the views see only what their reader may see.
create view public.my_instances with (security_invoker = true) as
  select name, plan, status, status <> settled or settled is null as busy, url, cause, created_at, updated_at
  from public.instances
  where tenant = (select public.innkeeper_tenant());

create view public.my_operations with (security_invoker = true) as
  select id, kind, instance, outcome, status, url, cause, steps, started_at, ended_at
  from public.operations
  where tenant = (select public.innkeeper_tenant());

-- Each instance with its last operation, for an operator's or a tenant's list.
create view public.instance_overview with (security_invoker = true) as
  select
    i.name, i.tenant, i.plan, i.cluster, i.namespace, i.status, i.settled, i.generation, i.url, i.revision, i.cause,
    i.created_at, i.updated_at,
    o.id as last_operation, o.kind as last_kind, o.outcome as last_outcome,
    o.started_at as last_started_at, o.ended_at as last_ended_at
  from public.instances as i
  left join lateral (
    select * from public.operations where instance = i.name order by seq desc limit 1
  ) as o on true;

revoke all on public.my_instances, public.my_operations, public.instance_overview from public, anon, authenticated;
grant select on public.my_instances, public.my_operations, public.instance_overview to authenticated, service_role;
