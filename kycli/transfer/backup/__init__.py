"""Backups: copies of a whole database, made while it is in use, and brought back."""
