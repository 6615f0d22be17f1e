"""Innkeeper: durable lifecycles for one-instance-per-customer SaaS."""

__version__ = "0.1.0"
