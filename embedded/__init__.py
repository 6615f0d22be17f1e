"""The platform on this machine: Temporal, Supabase and Kubernetes, started, watched and stopped as one."""
