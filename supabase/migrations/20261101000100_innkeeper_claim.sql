-- The two writes an operation makes, each one transaction that may be repeated.
-- They answer with a verdict rather than raise, so that no caller has to tell errors apart by their codes.

-- Claims an instance for an operation. What is legal is given by the caller (innkeeper.model.instance.TRANSITIONS),
-- so that there is one table of transitions. Exclusion is not made here (a workflow's id makes it): a legal claim
-- always wins, and whatever operation the instance still called running is superseded by it.
create function public.innkeeper_claim(
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

  moment := clock_timestamp();
  update public.operations set outcome = 'superseded', ended_at = moment
    where instance = held.name and outcome = 'running';
  update public.instances set
      generation = held.generation + 1,
      status = innkeeper_claim.during,
      cause = null,
      tenant = coalesce(innkeeper_claim.tenant, held.tenant),
      plan = case when innkeeper_claim.creates then innkeeper_claim.plan else held.plan end,
      namespace = case when innkeeper_claim.creates then innkeeper_claim.namespace else held.namespace end,
      release = case when innkeeper_claim.creates then innkeeper_claim.release else held.release end,
      created_at = case when owned then held.created_at else moment end
    where name = held.name
    returning * into held;
  insert into public.operations
      (id, digest, kind, instance, tenant, generation, former, asked_by, workflow_id, run_id, started_at)
    values
      (innkeeper_claim.request_id, innkeeper_claim.digest, innkeeper_claim.kind, held.name, held.tenant,
       held.generation, case when not made then settled_before end, innkeeper_claim.asked_by,
       innkeeper_claim.workflow_id, innkeeper_claim.run_id, moment)
    returning * into known;
  return jsonb_build_object(
    'verdict', 'claimed',
    'generation', held.generation,
    'former', known.former,
    'instance', to_jsonb(held),
    'operation', to_jsonb(known)
  );
end
$$;

-- Writes an operation's end into its row and its instance's, if the generation is still its own. Repeating it is
-- harmless; the time it ended stays the first one's.
create function public.innkeeper_finish(
  request_id text,
  instance text,
  generation bigint,
  status public.instance_status,
  outcome public.operation_outcome,
  url text,
  revision integer,
  cause jsonb,
  steps jsonb
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
      -- An operation that did not come to what was asked knows of no other address than the one that stands.
      url = case when innkeeper_finish.outcome = 'done' then innkeeper_finish.url else held.url end,
      revision = case when innkeeper_finish.outcome = 'done' then innkeeper_finish.revision else held.revision end,
      cause = case when innkeeper_finish.status = 'error' then innkeeper_finish.cause end
    where name = held.name
    returning * into held;
  return jsonb_build_object('verdict', 'written', 'instance', to_jsonb(held));
end
$$;

-- What a worker asks to learn whether it reaches the database with the rights it needs. The number is raised by
-- every migration that the code depends on.
create function public.innkeeper_schema() returns integer
language sql
stable
security invoker
set search_path = ''
as $$
  select 1 from (select count(*) from (select from public.instances limit 1) as some_rows) as readable
$$;

revoke execute on function public.innkeeper_claim, public.innkeeper_finish, public.innkeeper_schema
  from public, anon, authenticated;
grant execute on function public.innkeeper_claim, public.innkeeper_finish, public.innkeeper_schema
  to service_role;
