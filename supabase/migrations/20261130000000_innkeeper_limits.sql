-- What a plan allows a tenant in all, held against each claim that would need more.

alter table public.instances add column storage_asked bigint check (storage_asked >= 0);
comment on column public.instances.storage_asked is 'MiB of storage that its last operation asked for, where its plan has a limit on that; counts until that operation has ended and what is there was observed.';

-- Claims as innkeeper_claim does, where the plan's limits allow it. `limits` are by plan; with `grows` the request may need
-- another instance, or storage of `storage_mib`. A request that was claimed before is not held against them again.
create function public.innkeeper_claim_within(claim jsonb, limits jsonb, grows boolean, storage_mib bigint)
returns jsonb
language plpgsql
security invoker
set search_path = ''
as $$
#variable_conflict use_column
declare
  wanted record;
  held public.instances;
  owner text;
  bought text;
  mine jsonb;
  others integer;
  stored bigint;
  used numeric;
  rate record;
  answer jsonb;
begin
  select * into wanted from jsonb_to_record(innkeeper_claim_within.claim) as w (
    request_id text, digest text, kind public.operation_kind, instance text, tenant text, plan text, namespace text,
    release text, workflow_id text, run_id text, asked_by text, allowed_from text[],
    during public.instance_status, creates boolean
  );
  select * into held from public.instances where name = wanted.instance;
  owner := coalesce(wanted.tenant, held.tenant);
  bought := coalesce(wanted.plan, held.plan);
  mine := innkeeper_claim_within.limits -> bought;

  if mine is not null and not exists (select from public.operations where id = wanted.request_id) then
    -- Two requests of one tenant at once: one of them waits here, and counts what the other has claimed.
    perform pg_advisory_xact_lock(hashtextextended('innkeeper/tenant/' || owner, 0));
    if innkeeper_claim_within.grows then
      select
          count(*),
          coalesce(sum(greatest(
            (i.sizes ->> 'storage_mib')::bigint,
            case when i.status is distinct from i.settled then i.storage_asked end,
            0
          )), 0)
        into others, stored
        from public.instances as i
        where i.tenant = owner and i.name <> wanted.instance and i.status <> 'purged';
      if others >= (mine ->> 'instances')::integer then
        return public.innkeeper_limited(owner, bought, 'instances', '', (mine ->> 'instances')::numeric, others, 1);
      end if;
      if stored + innkeeper_claim_within.storage_mib > (mine ->> 'storage_mib')::bigint then
        return public.innkeeper_limited(
          owner, bought, 'storage', '', (mine ->> 'storage_mib')::numeric, stored, innkeeper_claim_within.storage_mib
        );
      end if;
    end if;
    for rate in
      select m.metric, p.period, p.quantity::numeric
        from jsonb_each(mine -> 'reported') as m (metric, periods)
        cross join lateral jsonb_each_text(m.periods) as p (period, quantity)
        order by 1, 2
    loop
      select coalesce(sum(r.quantity), 0) into used from public.usage_records as r
        where r.tenant = owner and r.metric = rate.metric
          and r.at >= date_trunc(rate.period, clock_timestamp(), 'UTC');
      if used >= rate.quantity then
        return public.innkeeper_limited(owner, bought, rate.metric, rate.period, rate.quantity, used, 0);
      end if;
    end loop;
  end if;

  answer := public.innkeeper_claim(
    wanted.request_id, wanted.digest, wanted.kind, wanted.instance, wanted.tenant, wanted.plan, wanted.namespace,
    wanted.release, wanted.workflow_id, wanted.run_id, wanted.asked_by, wanted.allowed_from, wanted.during,
    wanted.creates
  );
  if innkeeper_claim_within.grows and answer ->> 'verdict' = 'claimed' then
    update public.instances as i set storage_asked = innkeeper_claim_within.storage_mib
      where i.name = wanted.instance and i.storage_asked is distinct from innkeeper_claim_within.storage_mib;
  end if;
  return answer;
end
$$;

create function public.innkeeper_limited(
  tenant text, plan text, what text, period text, allowed numeric, used numeric, asked numeric
) returns jsonb
language sql
immutable
security invoker
set search_path = ''
return jsonb_build_object('verdict', 'limited', 'reached', jsonb_build_object(
  'tenant', tenant, 'plan', plan, 'what', what, 'period', period,
  'allowed', trim_scale(allowed)::text, 'used', trim_scale(used)::text, 'asked', trim_scale(asked)::text
));

create or replace function public.innkeeper_schema() returns integer
language sql
stable
security invoker
set search_path = ''
as $$
  select 7 from (select count(*) from (select from public.instances limit 1) as some_rows) as readable
$$;

revoke execute on function public.innkeeper_claim_within, public.innkeeper_limited from public, anon, authenticated;
grant execute on function public.innkeeper_claim_within, public.innkeeper_limited to service_role;
