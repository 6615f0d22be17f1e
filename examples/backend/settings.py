"""What the service is told by its environment."""

from __future__ import annotations

import os
from typing import NamedTuple


class Settings(NamedTuple):
    """Where Supabase is. Temporal's own variables (TEMPORAL_ADDRESS …) are read by the client itself."""

    supabase_url: str
    supabase_key: str
    """The secret (service role) key: rows of all tenants are read, and filtered by the tenant of the token."""

    @classmethod
    def load(cls) -> Settings:
        """Read INNKEEPER_SUPABASE_URL and INNKEEPER_SUPABASE_KEY, the names the worker uses, too.

        Raises:
            SystemExit: one is missing.
        """
        names = {field: f"INNKEEPER_{field.upper()}" for field in cls._fields}
        missing = [name for name in names.values() if not os.environ.get(name)]
        if missing:
            raise SystemExit(f"set {' and '.join(missing)}, e.g. to what `innkeeper up` prints")
        return cls(**{field: os.environ[name] for field, name in names.items()})
