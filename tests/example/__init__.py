"""A small service for the tests of the chassis: a register of referrals that knows one member from another.

It has one of everything that the store, the relay and the consumer must cope with, and nothing of a real service's law: a
command that is refused, one that writes into two streams, facts that change a state and facts that end it, shared rows that
are locked, a child table. It publishes as intake does (`/intake`): a noun has one publisher, and no test invents nouns.
"""
