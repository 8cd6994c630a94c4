"""The index on many machines, by Ray: scanned by actors of Ray Data, searched in shards on actors.

Its modules import Ray; nothing imports them before they are needed.
"""
