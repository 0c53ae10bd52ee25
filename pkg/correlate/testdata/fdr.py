"""Writes fdr.json: the Benjamini-Yekutieli q-values of some batches by statsmodels.

Run it with Python 3.11, numpy 2 and statsmodels 0.15:

    python pkg/correlate/testdata/fdr.py > pkg/correlate/testdata/fdr.json
"""

import json

from statsmodels.stats.multitest import multipletests

state = 54321


def lot():
    global state
    state = (1103515245 * state + 12345) % 2**31
    return state / 2**31


batches = [[0.03], [1.0, 0.0], [0.04, 0.04, 0.04], [1e-300, 1e-8, 0.9, 0.9, 1.0]]
for m in (10, 100, 1000):
    # A third follows an effect; some are alike.
    batches.append([round(lot() ** (12 if i % 3 == 0 else 1), 4 if i % 2 else 12) for i in range(m)])
json.dump(
    [{"p": p, "q": multipletests(p, method="fdr_by")[1].tolist()} for p in batches],
    __import__("sys").stdout,
)
