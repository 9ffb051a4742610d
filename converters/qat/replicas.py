"""Replicas of a distributed step (``tf.distribute``): what they must observe together.

A replica sees a part of the batch. If ranges and statistics were those of its part, the result of
a training would depend on how many replicas it had. So every replica observes the whole batch, and
the copies of a variable stay the same on all of them without being synchronized.
"""

from __future__ import annotations

from typing import Any


def widest_range(low: Any, high: Any) -> tuple[Any, Any]:
    """The range over the parts of all replicas; outside of a distributed step the given one.

    ``tf.distribute`` reduces by sums only. Here every replica puts its range into a row of its own
    and zeros into the others, so that the sum is exact.

    Args:
        low: This replica's minima, float32 of any shape.
        high: Its maxima, of the same shape.
    """
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return low, high
    own = tf.stack([low, high])[tf.newaxis]
    rows = tf.range(context.num_replicas_in_sync)
    rows = tf.reshape(rows, (-1, *[1] * (own.shape.rank - 1)))
    # No product: 0 * infinity would be NaN in the rows of the others.
    mine = tf.where(rows == context.replica_id_in_sync_group, own, tf.zeros_like(own))
    everyone = context.all_reduce(tf.distribute.ReduceOp.SUM, mine)
    return tf.reduce_min(everyone[:, 0], 0), tf.reduce_max(everyone[:, 1], 0)
