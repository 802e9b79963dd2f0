"""The training engine: K small networks at once, K leading every tensor.

One network of this field fills a hundredth of a core. Here parameters are `(K, in, out)`, hyperparameters
`(K,)`, and MetaBalance adds its pairs, `(K, P, …)`. On a CPU a kernel in C computes member after member; without it,
and on a GPU, torch computes all of them in each operation. Forward and backward are written by hand, and tested against
autograd. A member's result does not depend on its company: each has its own counter-based random streams, nothing is
reduced over K, and torch is given K in multiples at which its libraries choose the same paths.
"""

from bench.networks.gradients import meta_gradient

__all__ = ["meta_gradient"]
