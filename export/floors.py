"""The lowest thresholds that scores may have, whatever a budget of false alarms could pay.

What is likelier than that is no deviation that anybody wants to read of. The more false alarms are
asked for, the lower these are.
"""

from __future__ import annotations

import math

from .fit_witnesses import DENSITY, NEVER_HAD, NOVELTIES

# What is likelier than one normal session in this many, for one false alarm in 1,000, is never
# flagged; nor is a step that is likelier than one in this many.
_DENSITY_FLOOR, _STEP_FLOOR = 20_000, 1_000
# Where enough sessions are held out, a step is flagged by its order up to one in this many. What
# training never had is never flagged if it had fewer chances than that: with rules that 30 of 600
# sessions kept, two in a hundred new ones broke one.
_ORDER, _ORDER_FLOOR = ("order.session", "order.entity"), 100
_RULES = ("order.before", "order.pair")
# What a session lacks is judged by rules that at least this many sessions kept, for one false alarm
# in 1,000. With half as many, a kind of normal sessions of full HDFS was flagged that one split of
# it did not have.
_NEEDS_FLOOR = 200
# Counts are never flagged that are likelier than one in this many, for one false alarm in 1,000.
# That is little: no session had them, so they are odder than what they differ in.
_COUNTS_FLOOR = 150
# Where this many false alarms are to be expected among the sessions that are held out, these alone
# say how far out normal counts are: on 15,000 simulated sessions the floor hid lost replicas. They
# also say what is new and normal. And outliers are counted among what is flagged, as later sessions
# have as many of them; a smaller training could not pay for three.
_PLENTY = 10
# Where a false alarm is to be expected among this many times the held-out sessions, they say how
# often something new comes, and how far the surprises of normal steps go.
_TIMES_TOLD = 4


def density_floor(false_alarms: float) -> float:
    """The lowest threshold of the density, in nats."""
    return math.log(_DENSITY_FLOOR / false_alarms)


def are_plenty(false_alarms: float, sessions: int) -> bool:
    """Whether the held-out `sessions` are many for the number of false alarms that is asked for."""
    return false_alarms * sessions / 1000 >= _PLENTY


def floor_of(name: str, false_alarms: float, sessions: int) -> float:
    """The lowest threshold of a score where this many `sessions` are held out."""
    if name == DENSITY:
        return density_floor(false_alarms)
    if name == "patterns":
        return 0.0
    is_told = false_alarms * _TIMES_TOLD * sessions >= 1000
    # A value or a level that is new was in no session of training.
    if name in NOVELTIES and is_told:
        return 0.0
    order_floor = math.log(_ORDER_FLOOR / min(false_alarms, 1.0))
    if name in _RULES:
        return order_floor
    if name == "needs":
        return math.log(_NEEDS_FLOOR / min(false_alarms, 1.0))
    if are_plenty(false_alarms, sessions) and (name == "counts" or name in NEVER_HAD):
        return 0.0
    if name == "counts":
        return max(math.log(_COUNTS_FLOOR / false_alarms), 0.0)
    step_floor = max(math.log(_STEP_FLOOR / false_alarms), 0.0)
    if name in _ORDER and is_told:
        # The surprises of normal steps may go less far.
        return min(step_floor, order_floor)
    return step_floor
