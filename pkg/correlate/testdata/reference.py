"""Writes reference.json: what statsmodels and numpy say of two series.

Run it with Python 3.11, numpy 2, scipy 1.17 and statsmodels 0.15:

    python pkg/correlate/testdata/reference.py > pkg/correlate/testdata/reference.json
"""

import json

import numpy as np
import statsmodels.api as sm
from statsmodels.robust import scale
from statsmodels.tsa.stattools import acf, ccf

state = 12345


def lot():
    global state
    state = (1103515245 * state + 12345) % 2**31
    return state / 2**31


def series(n, phi):
    v, last = [], 0.0
    for _ in range(n):
        noise = sum(lot() for _ in range(12)) - 6
        if lot() < 0.02:
            noise *= 12
        last = phi * last + noise
        v.append(round(last, 6))
    v = np.array(v)
    return v - v.mean()


class Mad(scale.HuberScale):
    def __call__(self, df_resid, nobs, resid):
        return 1.4826 * np.median(np.abs(resid))


n, lags, order = 400, 40, 8
x, y = series(n, 0.7), series(n, 0.5)
y[5:] += 0.4 * x[:-5]
y -= y.mean()
phi, _ = sm.regression.yule_walker(y, order=order, method="mle", demean=False)
rho_x, rho_y = acf(x, nlags=lags, fft=False), acf(y, nlags=lags, fft=False)
z = np.concatenate([np.zeros(5), x[:-5]])
huber = sm.RLM(y, z, M=sm.robust.norms.HuberT(t=2.0)).fit(scale_est=Mad(), maxiter=500, tol=1e-14)
json.dump(
    {
        "x": x.tolist(),
        "y": y.tolist(),
        "cross_correlation": ccf(y, x, adjusted=False, fft=False)[: lags + 1].tolist(),
        "autocorrelation_x": rho_x.tolist(),
        "autocorrelation_y": rho_y.tolist(),
        "bartlett": float(1 + 2 * np.sum(rho_x[1:] * rho_y[1:])),
        "yule_walker": phi.tolist(),
        "huber": {"beta": float(huber.params[0]), "scale": float(huber.scale)},
    },
    __import__("sys").stdout,
    indent=1,
)
