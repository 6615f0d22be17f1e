-- What an operation begins from, and its claim, in one call each: a call costs more than what it reads.

-- The operation that the request id names already, and the instance's row; null where there is none.
create function public.innkeeper_outset(request_id text, instance text) returns jsonb
language sql
stable
security invoker
set search_path = ''
as $$
  select jsonb_build_object(
    'operation', (select to_jsonb(o) from public.operations as o where o.id = innkeeper_outset.request_id),
    'instance', (select to_jsonb(i) from public.instances as i where i.name = innkeeper_outset.instance)
  )
$$;

-- Claims as innkeeper_claim_within does, unless a freeze lets no operation begin on the instance; what has begun goes on.
-- Without limits none is asked for.
create function public.innkeeper_begin(claim jsonb, limits jsonb, grows boolean, storage_mib bigint) returns jsonb
language plpgsql
security invoker
set search_path = ''
as $$
declare
  held public.freezes;
begin
  select f.* into held from public.freezes as f
    where f.everything and (
      (f.scope = 'cluster' and f.name = 'default')
      or (f.scope = 'instance' and f.name = innkeeper_begin.claim ->> 'instance')
      or (f.scope = 'plan' and (
        f.name = innkeeper_begin.claim ->> 'plan'
        or f.name = (
          select i.plan from public.instances as i
            where i.name = innkeeper_begin.claim ->> 'instance' and i.status <> 'purged'
        )
      ))
    )
    order by f.frozen_at
    limit 1;
  if found and not exists (select from public.operations where id = innkeeper_begin.claim ->> 'request_id') then
    return jsonb_build_object('verdict', 'frozen', 'freeze', to_jsonb(held));
  end if;
  return public.innkeeper_claim_within(
    innkeeper_begin.claim, innkeeper_begin.limits, innkeeper_begin.grows, innkeeper_begin.storage_mib
  );
end
$$;

create or replace function public.innkeeper_schema() returns integer
language sql
stable
security invoker
set search_path = ''
as $$
  select 12 from (select count(*) from (select from public.instances limit 1) as some_rows) as readable
$$;

revoke execute on function public.innkeeper_outset, public.innkeeper_begin from public, anon, authenticated;
grant execute on function public.innkeeper_outset, public.innkeeper_begin to service_role;

-- Functions of a new name are called only once PostgREST has read the schema anew.
notify pgrst, 'reload schema';
