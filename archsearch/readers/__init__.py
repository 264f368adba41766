"""Where images come from: one reader for each kind of data, and what they all share.

`opening` finds the reader for what a person gave; each of `built_in`, `arrays`, `npz`, `cifar10` and
`image_folder` returns a `source.Source`. Nothing here decides about flips or splits off a validation part:
that is `archsearch.dataset`, the only module that reads from here.

TensorFlow, PIL and scikit-learn are imported only where a reader needs them.
"""
