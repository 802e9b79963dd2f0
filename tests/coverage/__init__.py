"""How often intervals hold the truth, by simulation: `python -m tests.coverage`.

A table is one sample: rows with a signal of their own, two arms that see it through noise of their own, folds (and
repeats of folds, which judge the same rows again) with a model each. What a model has by its training set is noise of
its fold, added to the metric, so many times as large as the noise of the fold's test rows. The noise of folds is
independent, but for a `shared` part, which all folds of a table have alike: no interval from one table can see that.
"""
