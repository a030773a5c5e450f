"""The Docker executor: each action in a container of its own, on this machine's engine or on a remote one."""
