"""The interactive shell, ``kyshell``: every command, with a prompt, a status bar and panes.

There are two threads. The *main thread* runs the commands, with the same code as the command line.
Signals arrive there, so Ctrl-C stops a command as usual. The *UI thread* draws, reads keys, and
reads data from its own store. To change data, it submits a command line to the main thread.
"""
