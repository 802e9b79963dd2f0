"""The training engine: K small networks at once, K leading every tensor.

One network of this field fills a hundredth of a core. Here K of them share every operation:
parameters are `(K, in, out)`, hyperparameters `(K,)`, and MetaBalance adds its pairs, `(K, P, …)`.
Forward and backward are written by hand; autograd is the oracle of the tests. A member's result
does not depend on its company: each has its own counter-based random streams, nothing is reduced
over K, and K is padded to a multiple of `PAD`.
"""

from bench.pack.meta import meta_gradient

__all__ = ["meta_gradient"]
