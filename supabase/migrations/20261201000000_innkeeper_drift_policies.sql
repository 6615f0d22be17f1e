-- What a plan says is to be done about a finding, and what operators froze.

alter table public.findings add column policy text not null default 'report'
  check (policy in ('report', 'repair', 'ask'));
comment on column public.findings.policy is 'What the plan says: report it, ask for a repair once, or ask an operator.';

create table public.freezes (
  scope text not null check (scope in ('instance', 'plan', 'cluster')),
  name text collate "C" not null check (name <> ''),
  everything boolean not null default false,
  operator text not null default '',
  note text not null default '',
  frozen_at timestamptz not null default now(),
  primary key (scope, name)
);

comment on table public.freezes is 'What nobody but people changes: while one holds an instance, neither drift nor the sweep asks for a repair of it.';
comment on column public.freezes.everything is 'Operations that people ask for are refused, too.';

-- As before, with the policies.
create or replace function public.innkeeper_reconciled(looked jsonb, findings jsonb) returns jsonb
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
      last_seen = moment, how_bad = n.how_bad, wanted = n.wanted, found = n.found, mend = n.mend,
      policy = coalesce(n.policy, 'report')
    from jsonb_to_recordset(innkeeper_reconciled.findings) as n(
      instance text, what text, object text, how_bad text, wanted text, found text, mend text, policy text
    )
    where f.resolved_at is null and f.instance = any (judged)
      and n.instance = f.instance and n.what = f.what and n.object = f.object;

  insert into public.findings (instance, what, how_bad, object, wanted, found, mend, policy, first_seen, last_seen)
    select n.instance, n.what, n.how_bad, n.object, n.wanted, n.found, n.mend, coalesce(n.policy, 'report'), moment,
      moment
    from jsonb_to_recordset(innkeeper_reconciled.findings) as n(
      instance text, what text, object text, how_bad text, wanted text, found text, mend text, policy text
    )
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
  select 8 from (select count(*) from (select from public.instances limit 1) as some_rows) as readable
$$;

alter table public.freezes enable row level security;
revoke all on public.freezes from public, anon, authenticated;
grant select, insert, update, delete on public.freezes to service_role;
