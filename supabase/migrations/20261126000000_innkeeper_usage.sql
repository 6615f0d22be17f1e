-- What was used: events of instances, written with their rows, and what the metering made of them.

alter table public.instances add column sizes jsonb check (jsonb_typeof(sizes) = 'object');
comment on column public.instances.sizes is 'What the instance asked of its cluster when last observed: cpu_millicores, memory_mib, storage_mib; null before that.';

create sequence public.instance_events_seq;

create table public.instance_events (
  seq bigint primary key,
  at timestamptz not null default clock_timestamp(),
  instance text collate "C" not null references public.instances (name),
  tenant text not null check (tenant <> ''),
  plan text not null check (plan <> ''),
  status public.instance_status not null,
  operation text,
  outcome public.operation_outcome,
  sizes jsonb check (jsonb_typeof(sizes) = 'object')
);

comment on table public.instance_events is 'What each instance''s row has said from which moment on. Append-only: nobody may change or delete an event.';
comment on column public.instance_events.seq is 'Of one instance, in the order in which its events were committed, which is not that of `at` where one came late.';
comment on column public.instance_events.operation is 'The operation that wrote the row: it began where the status is a transitional one, and else ended.';

-- What happened in some time, and what was not seen yet.
create index instance_events_by_time on public.instance_events (instance, at, seq);
create index instance_events_by_seq on public.instance_events (instance, seq);

-- Numbers an event under its instance's lock, which is held until it is committed: whoever has read one event has read
-- all of that instance's with smaller numbers.
create function public.innkeeper_number_event() returns trigger
language plpgsql
security invoker
set search_path = ''
as $$
begin
  perform from public.instances where name = new.instance for update;
  new.seq := nextval('public.instance_events_seq');
  return new;
end
$$;

create trigger instance_events_number before insert on public.instance_events
  for each row execute function public.innkeeper_number_event();

-- Said by a trigger as well as by privileges: those of a project's own roles are the project's to change.
create function public.innkeeper_keep_event() returns trigger
language plpgsql
security invoker
set search_path = ''
as $$
begin
  raise exception 'instance_events is append-only: write another event, which may be of an earlier moment';
end
$$;

create trigger instance_events_keep before update or delete on public.instance_events
  for each row execute function public.innkeeper_keep_event();

-- Writes the event of a change of an instance's row, at the end of the same transaction: a claim writes the operation
-- after the row.
create function public.innkeeper_note_event() returns trigger
language plpgsql
security invoker
set search_path = ''
as $$
declare
  wrote public.operations;
begin
  -- What is changed by hand while no operation runs is nobody's operation.
  if new.generation <> old.generation or old.status is distinct from old.settled then
    select * into wrote from public.operations where instance = new.name and generation = new.generation;
  end if;
  insert into public.instance_events (at, instance, tenant, plan, status, operation, outcome, sizes)
    values (new.updated_at, new.name, new.tenant, new.plan, new.status, wrote.id, wrote.outcome, new.sizes);
  return null;
end
$$;

create constraint trigger instances_note_event after update on public.instances
  deferrable initially deferred
  for each row
  when (
    (old.generation, old.tenant, old.plan, old.status, old.sizes)
      is distinct from (new.generation, new.tenant, new.plan, new.status, new.sizes)
  )
  execute function public.innkeeper_note_event();

-- What is there is metered from now on; while an operation runs, as what it was before.
insert into public.instance_events (instance, tenant, plan, status)
  select name, tenant, plan, coalesce(settled, status) from public.instances order by name;

drop function public.innkeeper_finish;

-- Writes an operation's end into its row and its instance's, if the generation is still its own. Repeating it is
-- harmless; the time it ended stays the first one's. Where plan, upgrade_pending or sizes is null, the row keeps its own;
-- nothing is left of what is purged.
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
  upgrade_pending boolean default null,
  sizes jsonb default null
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
      sizes = case when innkeeper_finish.status <> 'purged' then coalesce(innkeeper_finish.sizes, held.sizes) end,
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

create table public.usage_meters (
  instance text collate "C" primary key references public.instances (name),
  until timestamptz not null,
  seq bigint not null
);

comment on table public.usage_meters is 'How far each instance is metered: up to which moment, and which of its events were seen.';

-- One row an hour rather than one an hour and metric: there are a great many.
create table public.usage_metrics (
  instance text collate "C" not null,
  window_start timestamptz not null,
  tenant text collate "C" not null,
  plan text collate "C" not null,
  running_seconds numeric not null,
  cpu_seconds numeric not null,
  memory_gib_seconds numeric not null,
  storage_gib_seconds numeric not null,
  operations integer not null,
  failures integer not null,
  primary key (instance, window_start, tenant, plan)
);

comment on table public.usage_metrics is 'What each instance used in each hour (UTC): requested cores and GiB times seconds; hours in which nothing was used have no row. The running hour''s grows.';
comment on column public.usage_metrics.storage_gib_seconds is 'Of volume claims, those of stopped and of uninstalled instances too.';
comment on column public.usage_metrics.operations is 'Operations that began in this hour.';

create index usage_metrics_by_tenant on public.usage_metrics (tenant, window_start);

create table public.usage_corrections (
  seq bigint generated always as identity primary key,
  at timestamptz not null default clock_timestamp(),
  instance text collate "C" not null,
  tenant text not null,
  plan text not null,
  metric text not null,
  window_start timestamptz not null,
  before numeric not null,
  after numeric not null,
  why text not null
);

comment on table public.usage_corrections is 'What was changed of hours that had been metered to their end: who billed them has to look again.';

create index usage_corrections_by_tenant on public.usage_corrections (tenant, window_start);

-- The next instances to be metered, in the order of their names, each with the time that is to be metered, the last
-- event before that and all since: what happened since they were last metered and, where an event came late, from its
-- hour on. With `since` and `until`, the same for hours that have been metered before. Not more hours than about `most`.
create function public.innkeeper_metering_page(
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
      -- Of what is purged, nothing is used any more.
      where l.status <> 'purged' or unseen.seq is not null or innkeeper_metering_page.since is not null
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

-- Writes what was metered of some instances, in place of what these hours held before. Repeating it is harmless, and
-- whoever comes late with less than was known by then writes nothing. `runs` are hours in a row with the same figures.
create function public.innkeeper_meter(meters jsonb, runs jsonb) returns jsonb
language plpgsql
security invoker
set search_path = ''
-- What is known of a function's rows is a guess, and a wrong one here makes loops of thousands of rows in thousands.
set enable_nestloop = off
as $$
#variable_conflict use_column
declare
  counted jsonb;
begin
  insert into public.usage_meters (instance, until, seq)
    select m.instance, '-infinity', 0 from jsonb_to_recordset(innkeeper_meter.meters) as m (instance text)
      order by m.instance
    on conflict do nothing;
  perform from public.usage_meters as m
    where m.instance in (select g.instance from jsonb_to_recordset(innkeeper_meter.meters) as g (instance text))
    order by m.instance
    for update;

  with taken as materialized (
    select g.*, m.until as former
      from jsonb_to_recordset(innkeeper_meter.meters)
        as g (instance text, seq bigint, since timestamptz, until timestamptz)
      join public.usage_meters as m on m.instance = g.instance
      where m.seq <= g.seq and (m.until <= g.until or date_trunc('hour', g.until, 'UTC') = g.until)
  ), fresh as materialized (
    select
        r.instance, hours.window_start, r.tenant, r.plan, r.running_seconds, r.cpu_seconds, r.memory_gib_seconds,
        r.storage_gib_seconds, r.operations, r.failures, t.former
      from jsonb_to_recordset(innkeeper_meter.runs) as r (
        instance text, tenant text, plan text, since timestamptz, hours integer, running_seconds numeric,
        cpu_seconds numeric, memory_gib_seconds numeric, storage_gib_seconds numeric, operations integer,
        failures integer
      )
      join taken as t on t.instance = r.instance
      cross join lateral generate_series(r.since, r.since + (r.hours - 1) * interval '1 hour', interval '1 hour')
        as hours (window_start)
  ), held as materialized (
    select u.*, t.former from public.usage_metrics as u
      join taken as t on t.instance = u.instance and u.window_start >= t.since and u.window_start < t.until
      -- Said twice, so that what was metered long ago is not read each time.
      where u.instance = any (array(select instance from taken))
        and u.window_start >= (select min(since) from taken)
  ), removed as (
    delete from public.usage_metrics as u using held as h
      where (u.instance, u.window_start, u.tenant, u.plan) = (h.instance, h.window_start, h.tenant, h.plan)
        and not exists (
          select from fresh as f
            where (f.instance, f.window_start, f.tenant, f.plan) = (h.instance, h.window_start, h.tenant, h.plan)
        )
      returning 1
  ), written as (
    insert into public.usage_metrics as u
      select
          f.instance, f.window_start, f.tenant, f.plan, f.running_seconds, f.cpu_seconds, f.memory_gib_seconds,
          f.storage_gib_seconds, f.operations, f.failures
        from fresh as f
        left join held as h
          on (f.instance, f.window_start, f.tenant, f.plan) = (h.instance, h.window_start, h.tenant, h.plan)
        where (f.running_seconds, f.cpu_seconds, f.memory_gib_seconds, f.storage_gib_seconds, f.operations, f.failures)
          is distinct from
          (h.running_seconds, h.cpu_seconds, h.memory_gib_seconds, h.storage_gib_seconds, h.operations, h.failures)
      on conflict (instance, window_start, tenant, plan) do update set
        running_seconds = excluded.running_seconds,
        cpu_seconds = excluded.cpu_seconds,
        memory_gib_seconds = excluded.memory_gib_seconds,
        storage_gib_seconds = excluded.storage_gib_seconds,
        operations = excluded.operations,
        failures = excluded.failures
      returning 1
  ), corrected as (
    insert into public.usage_corrections (instance, tenant, plan, metric, window_start, before, after, why)
      select
          coalesce(f.instance, h.instance), coalesce(f.tenant, h.tenant), coalesce(f.plan, h.plan), each.metric,
          coalesce(f.window_start, h.window_start), coalesce(each.before, 0), coalesce(each.after, 0),
          'metered again: an event came late, or was corrected'
        from (select * from fresh where window_start + interval '1 hour' <= former) as f
        full join (select * from held where window_start + interval '1 hour' <= former) as h
          on (f.instance, f.window_start, f.tenant, f.plan) = (h.instance, h.window_start, h.tenant, h.plan)
        cross join lateral (values
          ('running_seconds', h.running_seconds, f.running_seconds),
          ('cpu_seconds', h.cpu_seconds, f.cpu_seconds),
          ('memory_gib_seconds', h.memory_gib_seconds, f.memory_gib_seconds),
          ('storage_gib_seconds', h.storage_gib_seconds, f.storage_gib_seconds),
          ('operations', h.operations, f.operations),
          ('failures', h.failures, f.failures)
        ) as each (metric, before, after)
        where coalesce(each.before, 0) <> coalesce(each.after, 0)
      returning 1
  ), moved as (
    update public.usage_meters as m set until = greatest(m.until, t.until), seq = t.seq
      from taken as t where m.instance = t.instance
      returning 1
  )
  select jsonb_build_object(
      'instances', (select count(*) from moved),
      'windows', (select count(*) from written) + (select count(*) from removed),
      'corrections', (select count(*) from corrected)
    ) into counted;
  return counted;
end
$$;

create or replace function public.innkeeper_schema() returns integer
language sql
stable
security invoker
set search_path = ''
as $$
  select 3 from (select count(*) from (select from public.instances limit 1) as some_rows) as readable
$$;

revoke execute on function
  public.innkeeper_finish, public.innkeeper_metering_page, public.innkeeper_meter,
  public.innkeeper_number_event, public.innkeeper_keep_event, public.innkeeper_note_event
  from public, anon, authenticated;
grant execute on function public.innkeeper_finish, public.innkeeper_metering_page, public.innkeeper_meter
  to service_role;

-- What a billing system reads: each metric of each instance by the hour and by the day (UTC). What is `final` changes
-- only with a row in usage_corrections.
create view public.usage_for_billing with (security_invoker = true) as
  with hours as (
    select u.tenant, u.instance, u.plan, each.metric, u.window_start, each.quantity
      from public.usage_metrics as u
      cross join lateral (values
        ('running_seconds', u.running_seconds),
        ('cpu_seconds', u.cpu_seconds),
        ('memory_gib_seconds', u.memory_gib_seconds),
        ('storage_gib_seconds', u.storage_gib_seconds),
        ('operations', u.operations),
        ('failures', u.failures)
      ) as each (metric, quantity)
      where each.quantity <> 0
  ), windows as (
    select h.tenant, h.instance, h.plan, h.metric, 'hour' as period, h.window_start,
        h.window_start + interval '1 hour' as window_end, h.quantity
      from hours as h
    union all
    select h.tenant, h.instance, h.plan, h.metric, 'day', date_trunc('day', h.window_start, 'UTC'),
        date_trunc('day', h.window_start, 'UTC') + interval '24 hours', sum(h.quantity)
      from hours as h
      group by h.tenant, h.instance, h.plan, h.metric, date_trunc('day', h.window_start, 'UTC')
  )
  select w.tenant, w.instance, w.plan, w.metric, w.period, w.window_start, w.window_end, w.quantity,
      coalesce(w.window_end <= m.until or i.status = 'purged', false) as final
    from windows as w
    left join public.instances as i on i.name = w.instance
    left join public.usage_meters as m on m.instance = w.instance;

-- A page of the same for people and programs, in the order of instances and windows: figures as text, since JSON's
-- numbers are not exact everywhere. `after` is the last of the page before: instance, window, tenant, plan, metric.
create function public.innkeeper_usage(
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
    select u.instance, date_trunc(innkeeper_usage.period, u.window_start, 'UTC') as window_start, u.tenant, u.plan,
        each.metric collate "C" as metric, sum(each.quantity) as quantity
      from public.usage_metrics as u
      cross join lateral (values
        ('running_seconds', u.running_seconds),
        ('cpu_seconds', u.cpu_seconds),
        ('memory_gib_seconds', u.memory_gib_seconds),
        ('storage_gib_seconds', u.storage_gib_seconds),
        ('operations', u.operations),
        ('failures', u.failures)
      ) as each (metric, quantity)
      where each.quantity <> 0
        and (innkeeper_usage.tenant is null or u.tenant = innkeeper_usage.tenant)
        and (innkeeper_usage.instance is null or u.instance = innkeeper_usage.instance)
        and u.window_start >= innkeeper_usage.since and u.window_start < innkeeper_usage.until
      group by 1, 2, 3, 4, 5
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

revoke execute on function public.innkeeper_usage from public, anon;
grant execute on function public.innkeeper_usage to authenticated, service_role;

alter table public.instance_events enable row level security;
alter table public.usage_meters enable row level security;
alter table public.usage_metrics enable row level security;
alter table public.usage_corrections enable row level security;

create policy "a tenant reads its own events" on public.instance_events
  for select to authenticated using (tenant = (select public.innkeeper_tenant()));
create policy "a tenant reads its own usage" on public.usage_metrics
  for select to authenticated using (tenant = (select public.innkeeper_tenant()));
create policy "a tenant reads its own corrections" on public.usage_corrections
  for select to authenticated using (tenant = (select public.innkeeper_tenant()));
create policy "a tenant reads how far its own instances are metered" on public.usage_meters
  for select to authenticated
  using (exists (select from public.instance_events as e where e.instance = usage_meters.instance));

revoke all on
  public.instance_events, public.usage_meters, public.usage_metrics, public.usage_corrections, public.usage_for_billing
  from public, anon, authenticated, service_role;
revoke all on sequence public.instance_events_seq, public.usage_corrections_seq_seq
  from public, anon, authenticated, service_role;
grant select on
  public.instance_events, public.usage_meters, public.usage_metrics, public.usage_corrections, public.usage_for_billing
  to authenticated, service_role;
grant insert on public.instance_events to service_role;
grant insert, update on public.usage_meters to service_role;
grant insert, update, delete on public.usage_metrics to service_role;
grant insert on public.usage_corrections to service_role;
grant usage on sequence public.instance_events_seq, public.usage_corrections_seq_seq to service_role;
