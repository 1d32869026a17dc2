"""The interactive shell, ``kyshell``: every command, with a prompt, a status bar and panes.

Two threads do the work. The *main thread* runs the commands, by the same code as the command line,
because signals arrive there: Ctrl-C stops a command as ever. The *thread of the user interface*
draws, reads keys and looks things up in a store of its own. What changes data is a command line
that it submits to the main thread.
"""
