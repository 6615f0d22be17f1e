-- What trials and idle times are counted from.

-- The instances of some plans that run, by name: since when they first ran as their tenant's, since when they run after
-- they last did not, and of when the latest report is that says that anything was used.
create function public.innkeeper_running(plans text[], after text default null, most integer default 500)
returns jsonb
language sql
stable
security invoker
set search_path = ''
as $$
  with found as (
    select i.* from public.instances as i
      where i.status = 'running' and i.plan = any (innkeeper_running.plans)
        and i.name > coalesce(innkeeper_running.after, '')
      order by i.name
      limit innkeeper_running.most + 1
  ), page as (
    select * from found order by name limit innkeeper_running.most
  )
  select jsonb_build_object(
      'items', coalesce((
        select jsonb_agg(jsonb_build_object(
            'instance', p.name,
            'tenant', p.tenant,
            'plan', p.plan,
            'generation', p.generation,
            'now', clock_timestamp(),
            'first_ran', own.at,
            'runs_since', runs.at,
            'active_at', active.at
          ) order by p.name)
        from page as p
        cross join lateral (
          select min(e.at) as at from public.instance_events as e
            where e.instance = p.name and e.status = 'running' and e.tenant = p.tenant and e.at >= p.created_at
        ) as own
        cross join lateral (
          select min(e.at) as at from public.instance_events as e
            where e.instance = p.name and e.status = 'running' and e.at > coalesce((
              select max(before.at) from public.instance_events as before
                where before.instance = p.name and before.status in ('stopped', 'uninstalled', 'purged', 'error')
            ), '-infinity')
        ) as runs
        cross join lateral (
          select max(r.at) as at from public.usage_records as r where r.instance = p.name and r.quantity > 0
        ) as active
        where own.at is not null and runs.at is not null
      ), '[]'),
      'next', case when (select count(*) from found) > innkeeper_running.most then (select max(name) from page) end
    )
$$;

create or replace function public.innkeeper_schema() returns integer
language sql
stable
security invoker
set search_path = ''
as $$
  select 9 from (select count(*) from (select from public.instances limit 1) as some_rows) as readable
$$;

revoke execute on function public.innkeeper_running from public, anon, authenticated;
grant execute on function public.innkeeper_running to service_role;
