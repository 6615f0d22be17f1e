-- What the tenants' product reports of itself, beside what is metered.

create table public.usage_records (
  key text collate "C" primary key check (key <> '' and length(key) <= 200),
  instance text collate "C" not null references public.instances (name),
  tenant text collate "C" not null,
  plan text collate "C" not null,
  metric text collate "C" not null check (metric ~ '^[a-z][a-z0-9_]{0,62}$'),
  quantity numeric not null check (quantity >= 0),
  at timestamptz not null,
  recorded_at timestamptz not null default clock_timestamp()
);

comment on table public.usage_records is 'What was reported, each under its key. Tenant and plan are the instance''s at that time.';

create index usage_records_by_instance on public.usage_records (instance, at);
create index usage_records_by_tenant on public.usage_records (tenant, metric, at);

-- Writes all of the reports or none. A key that is known is not counted again; with other content it is refused, and so
-- is an instance that is not there. A report whose time is left out is of now.
create function public.innkeeper_record_usage(reports jsonb) returns jsonb
language plpgsql
security invoker
set search_path = ''
as $$
#variable_conflict use_column
declare
  moment constant timestamptz := clock_timestamp();
  known constant integer := jsonb_array_length(innkeeper_record_usage.reports);
  absent text;
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

-- Traces what came of windows that had been metered to their end.
create function public.innkeeper_trace_records(keys text[], moment timestamptz) returns void
language plpgsql
security invoker
set search_path = ''
as $$
begin
  -- The lock keeps late reports of one instance one after the other, and apart from its metering.
  perform from public.usage_meters as m
    where m.instance in (
      select u.instance from public.usage_records as u
        where u.key = any (innkeeper_trace_records.keys)
          and u.at < date_trunc('hour', innkeeper_trace_records.moment, 'UTC')
    )
    order by m.instance
    for update;
  insert into public.usage_corrections (instance, tenant, plan, metric, window_start, before, after, why)
    select
        late.instance, late.tenant, late.plan, late.metric, late.window_start,
        coalesce(sum(u.quantity) filter (where u.key <> all (innkeeper_trace_records.keys)), 0), sum(u.quantity),
        'reported late'
      from (
        select distinct r.instance, r.tenant, r.plan, r.metric, date_trunc('hour', r.at, 'UTC') as window_start
          from public.usage_records as r
          join public.usage_meters as m on m.instance = r.instance
          where r.key = any (innkeeper_trace_records.keys)
            and date_trunc('hour', r.at, 'UTC') + interval '1 hour' <= m.until
      ) as late
      join public.usage_records as u
        on (u.instance, u.tenant, u.plan, u.metric) = (late.instance, late.tenant, late.plan, late.metric)
        and u.at >= late.window_start and u.at < late.window_start + interval '1 hour'
      group by 1, 2, 3, 4, 5
      having sum(u.quantity) filter (where u.key = any (innkeeper_trace_records.keys)) <> 0;
end
$$;

-- Each figure of each hour, reported ones one by one: what the windows are added up from.
create view public.usage_figures with (security_invoker = true) as
  select u.tenant, u.instance, u.plan, each.metric collate "C" as metric, u.window_start as at, each.quantity
    from public.usage_metrics as u
    cross join lateral (values
      ('running_seconds', u.running_seconds),
      ('cpu_seconds', u.cpu_seconds),
      ('memory_gib_seconds', u.memory_gib_seconds),
      ('storage_gib_seconds', u.storage_gib_seconds),
      ('operations', u.operations),
      ('failures', u.failures)
    ) as each (metric, quantity)
  union all
  select r.tenant, r.instance, r.plan, r.metric, r.at, r.quantity from public.usage_records as r;

-- With reported quantities, too.
drop view public.usage_for_billing;

create view public.usage_for_billing with (security_invoker = true) as
  with windows as (
    select f.tenant, f.instance, f.plan, f.metric, each.period, date_trunc(each.period, f.at, 'UTC') as window_start,
        date_trunc(each.period, f.at, 'UTC') + each.length as window_end, sum(f.quantity) as quantity
      from public.usage_figures as f
      cross join (values ('hour', interval '1 hour'), ('day', interval '24 hours')) as each (period, length)
      group by f.tenant, f.instance, f.plan, f.metric, each.period, each.length, date_trunc(each.period, f.at, 'UTC')
      having sum(f.quantity) <> 0
  )
  select w.tenant, w.instance, w.plan, w.metric, w.period, w.window_start, w.window_end, w.quantity,
      coalesce(w.window_end <= m.until or i.status = 'purged', false) as final
    from windows as w
    left join public.instances as i on i.name = w.instance
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
  with windows as (
    select f.instance, date_trunc(innkeeper_usage.period, f.at, 'UTC') as window_start, f.tenant, f.plan, f.metric,
        sum(f.quantity) as quantity
      from public.usage_figures as f
      where (innkeeper_usage.tenant is null or f.tenant = innkeeper_usage.tenant)
        and (innkeeper_usage.instance is null or f.instance = innkeeper_usage.instance)
        and f.at >= innkeeper_usage.since and f.at < innkeeper_usage.until
      group by 1, 2, 3, 4, 5
      having sum(f.quantity) <> 0
  ), page as (
    select w.*, w.window_start
        + case innkeeper_usage.period when 'day' then interval '24 hours' else interval '1 hour' end as window_end
      from windows as w
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
      'final', coalesce(p.window_end <= m.until or i.status = 'purged', false)
    ) order by p.instance, p.window_start, p.tenant, p.plan, p.metric), '[]'))
  from page as p
  left join public.instances as i on i.name = p.instance
  left join public.usage_meters as m on m.instance = p.instance
$$;

create or replace function public.innkeeper_schema() returns integer
language sql
stable
security invoker
set search_path = ''
as $$
  select 4 from (select count(*) from (select from public.instances limit 1) as some_rows) as readable
$$;

revoke execute on function public.innkeeper_record_usage, public.innkeeper_trace_records from public, anon, authenticated;
grant execute on function public.innkeeper_record_usage, public.innkeeper_trace_records to service_role;

alter table public.usage_records enable row level security;

create policy "a tenant reads its own reports" on public.usage_records
  for select to authenticated using (tenant = (select public.innkeeper_tenant()));

revoke all on public.usage_records, public.usage_figures, public.usage_for_billing
  from public, anon, authenticated, service_role;
grant select on public.usage_records, public.usage_figures, public.usage_for_billing to authenticated, service_role;
grant insert on public.usage_records to service_role;
