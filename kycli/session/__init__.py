"""Sessions: processes that run command lines for shells and for the native client.

``protocol`` defines requests and replies. ``worker`` runs one request as if it were its caller,
``sockets`` receives requests, and ``server`` is the user's server: a process that starts the
workers. ``control`` starts, finds and stops it. ``shells`` has the shell functions and their
servers.
"""
