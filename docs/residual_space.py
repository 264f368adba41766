"""A space of one's own: small residual networks (He et al., 2015), with their own training.

python search.py --space docs.residual_space:Residual --run residual
python final_train.py --best --run residual
"""

import keras
import keras_tuner
from keras import layers


class Residual(keras_tuner.HyperModel):
    """Stages of residual blocks; each stage halves the sides and widens the channels.

    Args:
        image_shape: Height, width, channels.
        num_classes: Of the images.
        statistics: Channel means and deviations of the training images, on 0..255.
    """

    def __init__(self, image_shape, num_classes, statistics):
        super().__init__(name="residual")
        self.image_shape = image_shape
        self.num_classes = num_classes
        self.statistics = statistics

    def build(self, hp):
        """From raw pixels to class probabilities, compiled; labels are one-hot."""
        filters = hp.Choice("filters", [16, 32, 48, 64], default=16)
        num_stages = hp.Int("num_stages", 2, 3, default=3)
        pixels = keras.Input(self.image_shape)
        variance = [std**2 for std in self.statistics.std]
        x = layers.Normalization(mean=list(self.statistics.mean), variance=variance)(pixels)
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        for stage in range(3):
            # The condition tells the tuner that a stage which is not there has no blocks to draw.
            with hp.conditional_scope("num_stages", list(range(max(stage + 1, 2), 4))):
                num_blocks = hp.Int(f"stage_{stage}/blocks", 1, 3, default=1)
            for block in range(num_blocks if stage < num_stages else 0):
                strides = 2 if stage and not block else 1
                x = self.block(
                    x, filters * 2**stage, strides, dropout=hp.Float("dropout", 0.0, 0.3, default=0.0)
                )
        x = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.GlobalAveragePooling2D()(x)
        probabilities = layers.Dense(self.num_classes, activation="softmax", dtype="float32")(x)
        model = keras.Model(pixels, probabilities, name="residual")
        model.compile(
            optimizer=keras.optimizers.AdamW(
                hp.Float("learning_rate", 3e-4, 1e-2, sampling="log", default=2e-3),
                weight_decay=hp.Choice("weight_decay", [0.0, 0.005, 0.02], default=0.005),
            ),
            loss=keras.losses.CategoricalCrossentropy(label_smoothing=0.1),
            metrics=["accuracy"],  # without it there is no lift in points of accuracy
        )
        return model

    def block(self, x, filters, strides, dropout):
        """Two convolutions beside a shortcut, which is a 1x1 convolution where the shape changes."""
        before = layers.ReLU()(layers.BatchNormalization()(x))
        changes = strides > 1 or x.shape[-1] != filters
        shortcut = layers.Conv2D(filters, 1, strides, use_bias=False)(before) if changes else x
        y = layers.Conv2D(filters, 3, strides, padding="same", use_bias=False)(before)
        y = layers.Dropout(dropout)(layers.ReLU()(layers.BatchNormalization()(y)))
        y = layers.Conv2D(filters, 3, padding="same", use_bias=False)(y)
        return layers.Add()([shortcut, y])

    def fit(self, hp, model, *args, callbacks=(), **kwargs):
        """Trains with a rate that falls along a cosine to 0 over all its epochs."""
        peak, epochs = hp.get("learning_rate"), kwargs["epochs"]
        falling = keras.optimizers.schedules.CosineDecay(peak, epochs)
        schedule = keras.callbacks.LearningRateScheduler(lambda epoch: float(falling(epoch)))
        return model.fit(*args, callbacks=[*callbacks, schedule], **kwargs)
