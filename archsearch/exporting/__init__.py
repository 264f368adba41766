"""A trained network to take away: in other formats, each compared with Keras, and as a plain script."""
