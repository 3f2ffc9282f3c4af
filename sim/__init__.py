"""
A simulation of job servers, clients and workers, replayed from a seed.

The broker, the exchange, the rules of group commit and the sessions of clients
and workers are the ones that run in production. Clock, network, store and
processes are simulated: they delay, reorder, cut, crash, freeze, fill up and come
back as one seeded source of randomness says. Whatever goes wrong is found by the
log that clients and workers keep, never by the server's counters, and happens
again with the same seed.
"""
