"""Batch normalisation as TensorFlow computes it in one operation."""

from __future__ import annotations

from typing import Any

import keras

BFLOAT16_BLOCK = 16
"""Of channels, in which oneDNN is fast at bfloat16; with other numbers it is slower than in float32."""


class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Keras's layer, with the same weights and results, but trained in one operation on a CPU.

    Keras takes some ten, each of which reads all of the tensor; `benchmarks/throughput.py` has both. It is of
    images, whose channels come last; everything else goes Keras's way, and all of it where there is a GPU.

    A model that holds it is saved with a class of ours: it is for training, not for what is given away.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Takes and returns (b, h, w, c), in the precision of the layer."""
        import tensorflow as tf

        usual = len(inputs.shape) == 4 and self.axis in (-1, 3) and mask is None
        usual = usual and not self.renorm and not self.synchronized and self.variable_dtype == "float32"
        if not training or not self.trainable or not usual or _has_gpu(tf):
            return super().call(inputs, training=training, mask=mask)
        channels = inputs.shape[-1]
        fast = inputs.dtype == tf.bfloat16 and channels % BFLOAT16_BLOCK == 0
        outputs = tf.raw_ops.FusedBatchNormV3(
            x=inputs if fast else tf.cast(inputs, tf.float32),
            scale=tf.ones([channels]) if self.gamma is None else self.gamma.value,
            offset=tf.zeros([channels]) if self.beta is None else self.beta.value,
            mean=tf.zeros([0]),
            variance=tf.zeros([0]),
            epsilon=self.epsilon,
            is_training=True,
        )
        # The variance is the unbiased one; Keras's is not.
        number = tf.cast(tf.size(inputs) // channels, tf.float32)
        variance = outputs.batch_variance * (number - 1) / number
        for moving, of_batch in ((self.moving_mean, outputs.batch_mean), (self.moving_variance, variance)):
            moving.assign(self.momentum * moving + (1 - self.momentum) * of_batch)
        return tf.cast(outputs.y, self.compute_dtype)


def _has_gpu(tf: Any) -> bool:
    return bool(tf.config.list_logical_devices("GPU"))
