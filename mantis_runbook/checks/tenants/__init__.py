"""Tenant isolation, shown by acting as users of two organisations."""
