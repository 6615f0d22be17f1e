-- A page of figures costs what it holds, and no more: each added up all that came after it. Workers of the version before
-- go on with this schema.

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
  ), span as not materialized (
    -- Bounds that lie within a window stand for its end: it is told whole, or not at all.
    select
        l.length,
        date_trunc(innkeeper_usage.period, innkeeper_usage.since + l.length - l.least, 'UTC') as since,
        date_trunc(innkeeper_usage.period, innkeeper_usage.until + l.length - l.least, 'UTC') as until,
        innkeeper_usage.after ->> 0 as instance,
        (innkeeper_usage.after ->> 1)::timestamptz as window_start
      from length as l
  ), ahead as (
    -- As many hours as fill a page, were each a window: what comes after their instances is not added up for it.
    select u.instance from public.usage_metrics as u
      cross join span as s
      where (innkeeper_usage.tenant is null or u.tenant = innkeeper_usage.tenant)
        and (innkeeper_usage.instance is null or u.instance = innkeeper_usage.instance)
        and u.window_start >= s.since and u.window_start < s.until
        and u.instance >= coalesce(s.instance, '')
        and (s.instance is null or u.instance > s.instance or u.window_start >= s.window_start + s.length)
      order by u.instance
      limit innkeeper_usage.most * case innkeeper_usage.period when 'day' then 24 else 1 end
  ), last as (
    select case when count(*) = innkeeper_usage.most * case innkeeper_usage.period when 'day' then 24 else 1 end
        then max(a.instance) end as instance
      from ahead as a
  ), windows as (
    select f.instance, date_trunc(innkeeper_usage.period, f.at, 'UTC') as window_start, f.tenant, f.plan, f.metric,
        sum(f.quantity) as quantity
      from public.usage_figures as f
      cross join span as s
      cross join last
      where (innkeeper_usage.tenant is null or f.tenant = innkeeper_usage.tenant)
        and (innkeeper_usage.instance is null or f.instance = innkeeper_usage.instance)
        and f.at >= s.since and f.at < s.until
        -- No instance is named so.
        and f.instance >= coalesce(s.instance, '') and f.instance <= coalesce(last.instance, '~')
        and (s.instance is null or f.instance > s.instance or f.at >= s.window_start)
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

create or replace function public.innkeeper_schema() returns integer
language sql
stable
security invoker
set search_path = ''
as $$
  select 11 from (select count(*) from (select from public.instances limit 1) as some_rows) as readable
$$;
