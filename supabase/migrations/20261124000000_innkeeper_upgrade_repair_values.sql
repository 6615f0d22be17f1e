-- The statuses and kinds of upgrades and repairs. They stand in a file of their own, since Postgres does not let the
-- transaction that adds an enum's value use it.
alter type public.instance_status add value 'upgrading' after 'restarting';
alter type public.instance_status add value 'repairing' after 'upgrading';
alter type public.operation_kind add value 'upgrade' after 'restart';
alter type public.operation_kind add value 'repair' after 'upgrade';
