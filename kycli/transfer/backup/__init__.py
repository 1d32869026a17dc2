"""Backups: copy a whole database while it is in use, and restore such copies."""
