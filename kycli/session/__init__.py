"""Sessions: processes that run command lines for shells and for the native client.

``protocol`` says how a command line and what it did travel. ``worker`` runs one in the place of
its caller, ``sockets`` are where it arrives, and ``server`` is the user's server: a process that
starts the workers. ``control`` starts, finds and stops it. ``shells`` has the shell functions.
"""
