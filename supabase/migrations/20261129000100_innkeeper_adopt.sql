-- Adoptions: an instance whose namespace and release have the names that somebody else gave them. Workers of the version
-- before go on with this schema.

-- Of what is purged nothing is left, so that its namespace may be another's by now. The claim sees to the others.
alter table public.instances drop constraint instances_namespace_key;
create index instances_by_namespace on public.instances (namespace);
comment on column public.instances.namespace is 'Where the release is. No other instance that is not purged has the same.';

drop index public.instances_in_transition;
create index instances_in_transition on public.instances (name)
  where status in (
    'provisioning', 'adopting', 'stopping', 'starting', 'restarting', 'upgrading', 'repairing', 'uninstalling',
    'purging'
  );

-- Claims an instance for an operation. What is legal is given by the caller (innkeeper.model.instance.TRANSITIONS),
-- so that there is one table of transitions. Exclusion is not made here (a workflow's id makes it): a legal claim
-- always wins, and whatever operation the instance still called running is superseded by it. A repair that was lost
-- counts as what it had met itself: `found` names what there is to repair, over any number of lost repairs. An instance
-- that is made gets the namespace and the release that the caller names; one that stands, or has data, keeps its own,
-- which somebody else may have named. No two instances that are not purged have one namespace.
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
  moves boolean;
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
      -- Asked again after its run was lost: the run that asks now is the one that works on it. What it meets is what
      -- the lost run left, not what that one had met. Of a repair, what there is to repair stays what it was.
      update public.operations as o
        set
          workflow_id = innkeeper_claim.workflow_id,
          run_id = innkeeper_claim.run_id,
          found = case
            when o.run_id = innkeeper_claim.run_id or o.kind = 'repair' then o.found else innkeeper_claim.during
          end
        where o.id = known.id
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
    -- Two that want one namespace come one after the other, whatever their names are.
    perform pg_advisory_xact_lock(hashtextextended('innkeeper-namespace/' || innkeeper_claim.namespace, 0));
    if not exists (
      select from public.instances as i where i.name = innkeeper_claim.instance and i.status <> 'purged'
    ) and exists (
      select from public.instances as i
        where i.namespace = innkeeper_claim.namespace and i.name <> innkeeper_claim.instance and i.status <> 'purged'
    ) then
      return jsonb_build_object('verdict', 'taken');
    end if;
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

  moves := made or (innkeeper_claim.creates and held.status = 'purged');
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
      namespace = case when moves then innkeeper_claim.namespace else held.namespace end,
      release = case when moves then innkeeper_claim.release else held.release end,
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

create or replace function public.innkeeper_schema() returns integer
language sql
stable
security invoker
set search_path = ''
as $$
  select 6 from (select count(*) from (select from public.instances limit 1) as some_rows) as readable
$$;
