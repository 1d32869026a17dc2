"""Setting kycli up for a user, and taking that back: shells, completion, manual pages."""
