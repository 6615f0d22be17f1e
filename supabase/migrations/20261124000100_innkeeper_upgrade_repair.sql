-- What upgrades, repairs and parked operations leave in the rows. Migrations come before the workers that need them,
-- so workers of the version before go on with this schema: what they do not know of has a default.

alter table public.instances add column upgrade_pending boolean not null default false;
comment on column public.instances.plan is 'The plan that is wanted; with `upgrade_pending`, what runs next rather than what ran last.';
comment on column public.instances.upgrade_pending is 'The instance was upgraded while it was stopped: the next start brings the release to the plan.';

alter table public.operations
  add column found public.instance_status,
  add column former_plan text,
  add column decisions jsonb not null default '[]' check (jsonb_typeof(decisions) = 'array');
comment on column public.operations.found is 'The instance''s status that the claim met, a transitional one where an operation before had been lost; null where the operation made the instance, and where it ended before this column was.';
comment on column public.operations.former_plan is 'The instance''s plan before the operation; null where the operation made the instance or took over its name, and where it ended before this column was.';
comment on column public.operations.decisions is 'What was asked while the operation was parked, with the answers and who gave them.';

-- Of those that run, as much as is known: the settled status counts, and none of the kinds so far but provision, which
-- has written its own by now, changes the plan.
update public.operations as o set found = o.former, former_plan = i.plan
  from public.instances as i
  where i.name = o.instance and o.outcome = 'running' and o.former is not null;

-- Pages of what is in transition are read by name, too.
drop index public.instances_in_transition;
create index instances_in_transition on public.instances (name)
  where status in (
    'provisioning', 'stopping', 'starting', 'restarting', 'upgrading', 'repairing', 'uninstalling', 'purging'
  );

-- Claims an instance for an operation. What is legal is given by the caller (innkeeper.model.instance.TRANSITIONS),
-- so that there is one table of transitions. Exclusion is not made here (a workflow's id makes it): a legal claim
-- always wins, and whatever operation the instance still called running is superseded by it. A repair that was lost
-- counts as what it had met itself: `found` names what there is to repair, over any number of lost repairs.
create or replace function public.innkeeper_claim(
  request_id text,
  digest text,
  kind public.operation_kind,
  instance text,
  tenant text,
  plan text,
  namespace text,
  release text,
  workflow_id text,
  run_id text,
  asked_by text,
  allowed_from text[],
  during public.instance_status,
  creates boolean
) returns jsonb
language plpgsql
security invoker
set search_path = ''
as $$
#variable_conflict use_column
declare
  known public.operations;
  held public.instances;
  made boolean := false;
  owned boolean;
  settled_before public.instance_status;
  met public.instance_status;
  plan_before text;
  moment timestamptz;
begin
  -- The same request may come twice at once, for two instances even: one of them waits here for the other's answer.
  perform pg_advisory_xact_lock(hashtextextended('innkeeper/' || innkeeper_claim.request_id, 0));

  select * into known from public.operations where id = innkeeper_claim.request_id;
  if found then
    if known.digest <> innkeeper_claim.digest then
      return jsonb_build_object('verdict', 'mismatch');
    end if;
    if known.outcome = 'running' then
      -- Asked again after its run was lost: the run that asks now is the one that works on it.
      update public.operations
        set workflow_id = innkeeper_claim.workflow_id, run_id = innkeeper_claim.run_id
        where id = known.id
        returning * into known;
    end if;
    select * into held from public.instances where name = known.instance;
    return jsonb_build_object(
      'verdict', case when known.outcome = 'running' then 'claimed' else 'finished' end,
      'generation', known.generation,
      'former', known.former,
      'found', known.found,
      'former_plan', known.former_plan,
      'instance', to_jsonb(held),
      'operation', to_jsonb(known)
    );
  end if;

  if innkeeper_claim.creates then
    insert into public.instances (name, tenant, plan, namespace, release, status)
      values (innkeeper_claim.instance, innkeeper_claim.tenant, innkeeper_claim.plan,
              innkeeper_claim.namespace, innkeeper_claim.release, innkeeper_claim.during)
      on conflict (name) do nothing;
    made := found;
  end if;
  select * into held from public.instances where name = innkeeper_claim.instance for update;
  if not found then
    return jsonb_build_object('verdict', 'absent');
  end if;

  -- An instance that never settled was being made by an operation that nothing stands behind any more.
  settled_before := coalesce(held.settled, 'error');
  owned := innkeeper_claim.tenant is null or innkeeper_claim.tenant = held.tenant;
  -- Nothing is left of a purged instance, so its name is free for anybody.
  if not owned and not (innkeeper_claim.creates and held.status = 'purged') then
    return jsonb_build_object('verdict', 'foreign');
  end if;
  if not made and not settled_before::text = any (innkeeper_claim.allowed_from) then
    return jsonb_build_object(
      'verdict', 'illegal', 'generation', held.generation, 'former', settled_before, 'instance', to_jsonb(held)
    );
  end if;

  if not made then
    met := held.status;
    if met = 'repairing' then
      met := coalesce(
        (select o.found from public.operations as o
          where o.instance = held.name and o.kind = 'repair' and o.outcome = 'running'
          order by o.seq desc limit 1),
        settled_before
      );
    end if;
    -- Who takes over the name of a purged instance has nothing to do with its plan.
    plan_before := case when owned then held.plan end;
  end if;

  moment := clock_timestamp();
  update public.operations set outcome = 'superseded', ended_at = moment
    where instance = held.name and outcome = 'running';
  update public.instances set
      generation = held.generation + 1,
      status = innkeeper_claim.during,
      cause = null,
      tenant = coalesce(innkeeper_claim.tenant, held.tenant),
      plan = case
        when innkeeper_claim.creates then innkeeper_claim.plan
        when innkeeper_claim.kind = 'upgrade' then coalesce(innkeeper_claim.plan, held.plan)
        else held.plan
      end,
      namespace = case when innkeeper_claim.creates then innkeeper_claim.namespace else held.namespace end,
      release = case when innkeeper_claim.creates then innkeeper_claim.release else held.release end,
      created_at = case when owned then held.created_at else moment end
    where name = held.name
    returning * into held;
  insert into public.operations
      (id, digest, kind, instance, tenant, generation, former, found, former_plan, asked_by, workflow_id, run_id,
       started_at)
    values
      (innkeeper_claim.request_id, innkeeper_claim.digest, innkeeper_claim.kind, held.name, held.tenant,
       held.generation, case when not made then settled_before end, met, plan_before, innkeeper_claim.asked_by,
       innkeeper_claim.workflow_id, innkeeper_claim.run_id, moment)
    returning * into known;
  return jsonb_build_object(
    'verdict', 'claimed',
    'generation', held.generation,
    'former', known.former,
    'found', known.found,
    'former_plan', known.former_plan,
    'instance', to_jsonb(held),
    'operation', to_jsonb(known)
  );
end
$$;

drop function public.innkeeper_finish;

-- Writes an operation's end into its row and its instance's, if the generation is still its own. Repeating it is
-- harmless; the time it ended stays the first one's. Where plan or upgrade_pending is null, the row keeps its own.
create function public.innkeeper_finish(
  request_id text,
  instance text,
  generation bigint,
  status public.instance_status,
  outcome public.operation_outcome,
  url text,
  revision integer,
  cause jsonb,
  steps jsonb,
  decisions jsonb default '[]',
  plan text default null,
  upgrade_pending boolean default null
) returns jsonb
language plpgsql
security invoker
set search_path = ''
as $$
#variable_conflict use_column
declare
  held public.instances;
begin
  select * into held from public.instances where name = innkeeper_finish.instance for update;
  if not found or held.generation <> innkeeper_finish.generation then
    return jsonb_build_object('verdict', 'superseded', 'generation', held.generation);
  end if;
  update public.operations set
      outcome = innkeeper_finish.outcome,
      status = innkeeper_finish.status,
      url = innkeeper_finish.url,
      revision = innkeeper_finish.revision,
      cause = innkeeper_finish.cause,
      steps = innkeeper_finish.steps,
      decisions = innkeeper_finish.decisions,
      ended_at = coalesce(ended_at, clock_timestamp())
    where id = innkeeper_finish.request_id
      and instance = held.name
      and generation = innkeeper_finish.generation;
  if not found then
    return jsonb_build_object('verdict', 'superseded', 'generation', held.generation);
  end if;
  update public.instances set
      status = innkeeper_finish.status,
      settled = innkeeper_finish.status,
      plan = coalesce(innkeeper_finish.plan, held.plan),
      upgrade_pending = coalesce(innkeeper_finish.upgrade_pending, held.upgrade_pending),
      -- An operation that did not come to what was asked knows of no other address than the one that stands.
      url = case when innkeeper_finish.outcome = 'done' then innkeeper_finish.url else held.url end,
      -- An upgrade that was taken back runs in a new revision of Helm's.
      revision = case when innkeeper_finish.outcome = 'done' then innkeeper_finish.revision
                      else coalesce(innkeeper_finish.revision, held.revision) end,
      cause = case when innkeeper_finish.status = 'error' then innkeeper_finish.cause end
    where name = held.name
    returning * into held;
  return jsonb_build_object('verdict', 'written', 'instance', to_jsonb(held));
end
$$;

create or replace function public.innkeeper_schema() returns integer
language sql
stable
security invoker
set search_path = ''
as $$
  select 2 from (select count(*) from (select from public.instances limit 1) as some_rows) as readable
$$;

-- The two functions that were replaced rather than dropped have kept their privileges.
revoke execute on function public.innkeeper_finish from public, anon, authenticated;
grant execute on function public.innkeeper_finish to service_role;

-- The views with the new column.
drop view public.my_instances, public.instance_overview;

create view public.my_instances with (security_invoker = true) as
  select
    name, plan, upgrade_pending, status, status <> settled or settled is null as busy, url, cause, created_at, updated_at
  from public.instances
  where tenant = (select public.innkeeper_tenant());

-- Each instance with its last operation, for an operator's or a tenant's list.
create view public.instance_overview with (security_invoker = true) as
  select
    i.name, i.tenant, i.plan, i.upgrade_pending, i.cluster, i.namespace, i.status, i.settled, i.generation,
    i.url, i.revision, i.cause, i.created_at, i.updated_at,
    o.id as last_operation, o.kind as last_kind, o.outcome as last_outcome,
    o.started_at as last_started_at, o.ended_at as last_ended_at
  from public.instances as i
  left join lateral (
    select * from public.operations where instance = i.name order by seq desc limit 1
  ) as o on true;

revoke all on public.my_instances, public.instance_overview from public, anon, authenticated;
grant select on public.my_instances, public.instance_overview to authenticated, service_role;
