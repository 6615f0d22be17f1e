-- Where rows, plans and the cluster disagree, as the reconcile found it: one row a finding, kept after it is gone. For
-- operators: tenants see none of it.

create table public.findings (
  id bigint generated always as identity primary key,
  -- No reference: what no row knows is a finding, too.
  instance text collate "C" not null check (instance <> ''),
  what text not null check (what <> ''),
  how_bad text not null check (how_bad in ('info', 'warning', 'error')),
  object text not null,
  wanted text not null default '',
  found text not null default '',
  mend text not null default '',
  first_seen timestamptz not null default now(),
  last_seen timestamptz not null default now(),
  resolved_at timestamptz,
  check (last_seen >= first_seen)
);

comment on table public.findings is 'Drift: what a reconcile found, until it was gone. Written by Innkeeper only; never holds a Secret''s value.';
comment on column public.findings.mend is 'The exact command that would mend it, or what a person has to do.';
comment on column public.findings.resolved_at is 'When a reconcile no longer found it; null while it stands. What comes back is a new row.';

-- One finding stands once.
create unique index findings_standing on public.findings (instance, what, object) where resolved_at is null;
create index findings_by_instance on public.findings (instance, id);

-- Writes what a reconcile found of the instances that it looked at, in one transaction that may be repeated. Who was
-- claimed since, or came or went, is left to the next one: its generation is not the one that was judged.
create function public.innkeeper_reconciled(looked jsonb, findings jsonb) returns jsonb
language plpgsql
security invoker
set search_path = ''
as $$
#variable_conflict use_column
declare
  moment timestamptz;
  judged text[];
  opened integer;
  resolved integer;
begin
  -- Two reconciles at once: one waits here for the other.
  perform pg_advisory_xact_lock(hashtextextended('innkeeper/reconcile', 0));
  moment := clock_timestamp();
  select coalesce(array_agg(k.instance), '{}') into judged
    from jsonb_to_recordset(innkeeper_reconciled.looked) as k(instance text, generation bigint)
    left join public.instances as i on i.name = k.instance
    where i.generation is not distinct from k.generation;

  update public.findings as f set resolved_at = moment
    where f.resolved_at is null and f.instance = any (judged)
      and not exists (
        select from jsonb_to_recordset(innkeeper_reconciled.findings) as n(instance text, what text, object text)
        where n.instance = f.instance and n.what = f.what and n.object = f.object
      );
  get diagnostics resolved = row_count;

  update public.findings as f set
      last_seen = moment, how_bad = n.how_bad, wanted = n.wanted, found = n.found, mend = n.mend
    from jsonb_to_recordset(innkeeper_reconciled.findings)
      as n(instance text, what text, object text, how_bad text, wanted text, found text, mend text)
    where f.resolved_at is null and f.instance = any (judged)
      and n.instance = f.instance and n.what = f.what and n.object = f.object;

  insert into public.findings (instance, what, how_bad, object, wanted, found, mend, first_seen, last_seen)
    select n.instance, n.what, n.how_bad, n.object, n.wanted, n.found, n.mend, moment, moment
    from jsonb_to_recordset(innkeeper_reconciled.findings)
      as n(instance text, what text, object text, how_bad text, wanted text, found text, mend text)
    where n.instance = any (judged)
    on conflict (instance, what, object) where resolved_at is null do nothing;
  get diagnostics opened = row_count;

  return jsonb_build_object(
    'opened', opened, 'resolved', resolved,
    'skipped', jsonb_array_length(innkeeper_reconciled.looked) - cardinality(judged)
  );
end
$$;

create or replace function public.innkeeper_schema() returns integer
language sql
stable
security invoker
set search_path = ''
as $$
  select 5 from (select count(*) from (select from public.instances limit 1) as some_rows) as readable
$$;

alter table public.findings enable row level security;
revoke all on public.findings from public, anon, authenticated;
revoke all on sequence public.findings_id_seq from public, anon, authenticated;
grant select, insert, update, delete on public.findings to service_role;
revoke execute on function public.innkeeper_reconciled from public, anon, authenticated;
grant execute on function public.innkeeper_reconciled to service_role;
