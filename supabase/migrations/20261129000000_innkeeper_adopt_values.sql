-- The status and kind of adoptions. They stand in a file of their own, since Postgres does not let the transaction that
-- adds an enum's value use it.
alter type public.instance_status add value 'adopting' after 'provisioning';
alter type public.operation_kind add value 'adopt' after 'provision';
