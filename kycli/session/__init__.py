"""Sessions: processes that run command lines for shells and for the native client.

``protocol`` says how a command line and what it did travel. ``worker`` runs one in the place of
its caller, ``sockets`` and ``pipes`` are how they arrive, and ``server`` is the user's server:
a process that starts the workers, and those that start, find and stop it.
"""
