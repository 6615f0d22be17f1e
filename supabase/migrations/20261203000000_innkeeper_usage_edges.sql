-- What was used and what is allowed, at their edges: windows that are told whole, clocks that go back, what is purged,
-- reports of the future, and limits that were lowered. Workers of the version before go on with this schema.

-- Writes the event of a change of an instance's row, at the end of the same transaction: a claim writes the operation
-- after the row. A clock that was set back does not put it before what had happened; one that was wrong by more than a
-- day, once, is not followed.
create or replace function public.innkeeper_note_event() returns trigger
language plpgsql
security invoker
set search_path = ''
as $$
declare
  wrote public.operations;
  moment timestamptz;
begin
  -- What is changed by hand while no operation runs is nobody's operation.
  if new.generation <> old.generation or old.status is distinct from old.settled then
    select * into wrote from public.operations where instance = new.name and generation = new.generation;
  end if;
  select greatest(new.updated_at, max(e.at)) into moment from public.instance_events as e
    where e.instance = new.name and e.at < new.updated_at + interval '1 day';
  insert into public.instance_events (at, instance, tenant, plan, status, operation, outcome, sizes)
    values (moment, new.name, new.tenant, new.plan, new.status, wrote.id, wrote.outcome, new.sizes);
  return null;
end
$$;

-- The next instances to be metered, in the order of their names, each with the time that is to be metered, the last
-- event before that and all since: what happened since they were last metered and, where an event came late, from its
-- hour on. With `since` and `until`, the same for hours that have been metered before. Not more hours than about `most`.
create or replace function public.innkeeper_metering_page(
  after text default null,
  since timestamptz default null,
  until timestamptz default null,
  most integer default 30000
) returns jsonb
language plpgsql
security invoker
set search_path = ''
as $$
#variable_conflict use_column
declare
  moment constant timestamptz := clock_timestamp();
  candidates constant integer := 500;
  page jsonb;
begin
  with looked_at as (
    select i.name, i.status, m.seq, m.until
      from public.instances as i
      left join public.usage_meters as m on m.instance = i.name
      where i.name > coalesce(innkeeper_metering_page.after, '')
      order by i.name
      limit candidates
  ), reach as (
    select
        l.name,
        case when innkeeper_metering_page.since is null then coalesce(unseen.seq, l.seq) else l.seq end as seq,
        date_trunc('hour', case
          when innkeeper_metering_page.since is null then least(l.until, unseen.at)
          else greatest(innkeeper_metering_page.since, first.at)
        end, 'UTC') as since,
        case when innkeeper_metering_page.since is null then moment else least(l.until, date_trunc(
          'hour', innkeeper_metering_page.until + interval '1 hour' - interval '1 microsecond', 'UTC'
        )) end as until
      from looked_at as l
      cross join lateral (
        select max(e.seq) as seq, min(e.at) as at from public.instance_events as e
          where e.instance = l.name and e.seq > coalesce(l.seq, 0)
      ) as unseen
      cross join lateral (
        select min(e.at) as at from public.instance_events as e where e.instance = l.name
      ) as first
      -- Of what is purged, nothing is used any more; but the days in which it was, or of which anything was reported,
      -- are to become final.
      where l.status <> 'purged' or unseen.seq is not null or innkeeper_metering_page.since is not null
        or l.until < interval '24 hours' + date_trunc('day', greatest(
          (select max(e.at) from public.instance_events as e where e.instance = l.name),
          (select max(r.at) from public.usage_records as r where r.instance = l.name)
        ), 'UTC')
  ), summed as (
    select
        r.*,
        sum(extract(epoch from r.until - r.since) / 3600) over (order by r.name)
          - extract(epoch from r.until - r.since) / 3600 as before
      from reach as r
      where r.since < r.until and r.seq is not null
  ), taken as (
    select * from summed where before < innkeeper_metering_page.most
  )
  select jsonb_build_object(
      'meters', coalesce((
        select jsonb_agg(jsonb_build_object(
            'instance', t.name,
            'seq', t.seq,
            'since', t.since,
            'until', t.until,
            'events', coalesce((
              select jsonb_agg(to_jsonb(e) order by e.at, e.seq) from (
                (select * from public.instance_events as before
                  where before.instance = t.name and before.at < t.since
                    and before.status in ('running', 'stopped', 'uninstalled', 'purged', 'error')
                  order by before.at desc, before.seq desc limit 1)
                union all
                (select * from public.instance_events as within
                  where within.instance = t.name and within.at >= t.since and within.at < t.until)
              ) as e
            ), '[]')
          ) order by t.name) from taken as t
      ), '[]'),
      'next', case
        when (select count(*) from taken) < (select count(*) from summed) then (select max(name) from taken)
        when (select count(*) from looked_at) = candidates then (select max(name) from looked_at)
      end
    ) into page;
  return page;
end
$$;

-- Writes all of the reports or none. A key that is known is not counted again; with other content it is refused, and so
-- is an instance that is not there, and a time that has not come: it would count in every period until then. A report
-- whose time is left out is of now.
create or replace function public.innkeeper_record_usage(reports jsonb) returns jsonb
language plpgsql
security invoker
set search_path = ''
as $$
#variable_conflict use_column
declare
  moment constant timestamptz := clock_timestamp();
  known constant integer := jsonb_array_length(innkeeper_record_usage.reports);
  absent text;
  latest timestamptz;
  other text;
  fresh text[];
begin
  select r.instance into absent
    from jsonb_to_recordset(innkeeper_record_usage.reports) as r (instance text)
    where not exists (select from public.instances as i where i.name = r.instance)
    order by r.instance limit 1;
  if found then
    return jsonb_build_object('verdict', 'absent', 'subject', absent);
  end if;
  select max(r.at) into latest from jsonb_to_recordset(innkeeper_record_usage.reports) as r (at timestamptz);
  if latest > moment + interval '1 hour' then
    return jsonb_build_object(
      'verdict', 'future', 'subject', to_char(latest at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
    );
  end if;

  with written as (
    insert into public.usage_records (key, instance, tenant, plan, metric, quantity, at, recorded_at)
      select distinct on (r.key collate "C")
          r.key, r.instance, coalesce(then_.tenant, i.tenant), coalesce(then_.plan, i.plan), r.metric, r.quantity,
          coalesce(r.at, moment), moment
        from jsonb_to_recordset(innkeeper_record_usage.reports)
          as r (key text, instance text, metric text, quantity numeric, at timestamptz)
        join public.instances as i on i.name = r.instance
        left join lateral (
          select e.tenant, e.plan from public.instance_events as e
            where e.instance = r.instance and e.at <= coalesce(r.at, moment)
            order by e.at desc, e.seq desc limit 1
        ) as then_ on true
        -- In one order, so that no two calls wait for each other.
        order by r.key collate "C"
      -- Who writes the same key at this moment is waited for.
      on conflict (key) do nothing
      returning key
  )
  select array_agg(key) into fresh from written;

  select r.key into other
    from jsonb_to_recordset(innkeeper_record_usage.reports)
      as r (key text, instance text, metric text, quantity numeric, at timestamptz)
    join public.usage_records as u on u.key = r.key
    where (u.instance, u.metric, u.quantity, u.at)
      is distinct from (r.instance, r.metric, r.quantity, coalesce(r.at, u.at))
    order by r.key limit 1;
  if found then
    -- None of them is written: this ends the transaction, and innkeeper_report tells it.
    raise exception using errcode = 'IK001', message = other;
  end if;

  perform public.innkeeper_trace_records(fresh, moment);
  return jsonb_build_object(
    'verdict', 'written', 'recorded', coalesce(cardinality(fresh), 0), 'known', known - coalesce(cardinality(fresh), 0)
  );
exception when sqlstate 'IK001' then
  return jsonb_build_object('verdict', 'mismatch', 'subject', sqlerrm);
end
$$;

-- What is `final` changes only with a row in usage_corrections.
create or replace view public.usage_for_billing with (security_invoker = true) as
  with windows as (
    select f.tenant, f.instance, f.plan, f.metric, each.period, date_trunc(each.period, f.at, 'UTC') as window_start,
        date_trunc(each.period, f.at, 'UTC') + each.length as window_end, sum(f.quantity) as quantity
      from public.usage_figures as f
      cross join (values ('hour', interval '1 hour'), ('day', interval '24 hours')) as each (period, length)
      group by f.tenant, f.instance, f.plan, f.metric, each.period, each.length, date_trunc(each.period, f.at, 'UTC')
      having sum(f.quantity) <> 0
  )
  select w.tenant, w.instance, w.plan, w.metric, w.period, w.window_start, w.window_end, w.quantity,
      coalesce(w.window_end <= m.until, false) as final
    from windows as w
    left join public.usage_meters as m on m.instance = w.instance;

create or replace function public.innkeeper_usage(
  tenant text default null,
  instance text default null,
  since timestamptz default '-infinity',
  until timestamptz default 'infinity',
  period text default 'hour',
  after jsonb default null,
  most integer default 1000
) returns jsonb
language sql
stable
security invoker
set search_path = ''
as $$
  with length as not materialized (
    select case innkeeper_usage.period when 'day' then interval '24 hours' else interval '1 hour' end as length,
      interval '1 microsecond' as least
  ), windows as (
    select f.instance, date_trunc(innkeeper_usage.period, f.at, 'UTC') as window_start, f.tenant, f.plan, f.metric,
        sum(f.quantity) as quantity
      from public.usage_figures as f
      cross join length as l
      where (innkeeper_usage.tenant is null or f.tenant = innkeeper_usage.tenant)
        and (innkeeper_usage.instance is null or f.instance = innkeeper_usage.instance)
        -- Bounds that lie within a window stand for its end: it is told whole, or not at all.
        and f.at >= date_trunc(innkeeper_usage.period, innkeeper_usage.since + l.length - l.least, 'UTC')
        and f.at < date_trunc(innkeeper_usage.period, innkeeper_usage.until + l.length - l.least, 'UTC')
        and (innkeeper_usage.after is null or f.instance >= innkeeper_usage.after ->> 0)
      group by 1, 2, 3, 4, 5
      having sum(f.quantity) <> 0
  ), page as (
    select w.*, w.window_start + l.length as window_end
      from windows as w
      cross join length as l
      where innkeeper_usage.after is null or (w.instance, w.window_start, w.tenant, w.plan, w.metric) > (
        innkeeper_usage.after ->> 0, (innkeeper_usage.after ->> 1)::timestamptz, innkeeper_usage.after ->> 2,
        innkeeper_usage.after ->> 3, innkeeper_usage.after ->> 4
      )
      order by w.instance, w.window_start, w.tenant, w.plan, w.metric
      limit innkeeper_usage.most
  )
  select jsonb_build_object('items', coalesce(jsonb_agg(jsonb_build_object(
      'tenant', p.tenant,
      'instance', p.instance,
      'plan', p.plan,
      'metric', p.metric,
      'window_start', p.window_start,
      'window_end', p.window_end,
      'quantity', trim_scale(p.quantity)::text,
      'final', coalesce(p.window_end <= m.until, false)
    ) order by p.instance, p.window_start, p.tenant, p.plan, p.metric), '[]'))
  from page as p
  left join public.usage_meters as m on m.instance = p.instance
$$;

-- Claims as innkeeper_claim does, where the plan's limits allow it. `limits` are by plan; with `grows` the request may need
-- another instance, or storage of `storage_mib`; what the instance has stays with it. Who is above a limit, since it was
-- lowered, is not refused what needs no more. A request that was claimed before is not held against them again.
create or replace function public.innkeeper_claim_within(claim jsonb, limits jsonb, grows boolean, storage_mib bigint)
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
  stays boolean;
  own bigint;
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

  if mine is not null then
    -- Two requests of one tenant at once: one of them waits here, and counts what the other has claimed.
    perform pg_advisory_xact_lock(hashtextextended('innkeeper/tenant/' || owner, 0));
  end if;
  if mine is not null and not exists (select from public.operations where id = wanted.request_id) then
    if innkeeper_claim_within.grows then
      stays := coalesce(held.status <> 'purged' and held.tenant = owner and held.plan = bought, false);
      own := case when held.status <> 'purged' and held.tenant = owner
        then coalesce((held.sizes ->> 'storage_mib')::bigint, 0) else 0 end;
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
      if not stays and others >= (mine ->> 'instances')::integer then
        return public.innkeeper_limited(owner, bought, 'instances', '', (mine ->> 'instances')::numeric, others, 1);
      end if;
      if not (stays and innkeeper_claim_within.storage_mib <= own)
        and stored + greatest(innkeeper_claim_within.storage_mib, own) > (mine ->> 'storage_mib')::bigint
      then
        return public.innkeeper_limited(
          owner, bought, 'storage', '', (mine ->> 'storage_mib')::numeric, stored,
          greatest(innkeeper_claim_within.storage_mib, own)
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

create or replace function public.innkeeper_schema() returns integer
language sql
stable
security invoker
set search_path = ''
as $$
  select 10 from (select count(*) from (select from public.instances limit 1) as some_rows) as readable
$$;
