"""Figures with their uncertainty: shares, differences of paired shares, ratios and means over samples, histograms.

In: counts, or sums per sample. Out: JSON values; intervals are of 95 %, and every number is rounded to six significant
digits, because the last ones differ between processors. Nothing here knows of models.

wilson      Wilson's score interval. E. B. Wilson, "Probable inference, the law of succession, and statistical
            inference", J. Am. Stat. Assoc. 22 (1927) 209-212.
newcombe    the difference of two shares of the same samples: method 10 (score intervals, squared and added, with a
            continuity-corrected correlation) of R. G. Newcombe, "Improved confidence intervals for the difference
            between binomial proportions based on paired data", Statistics in Medicine 17 (1998) 2635-2650.
bootstrap   percentiles of 1,000 draws of as many samples as there are, with a fixed seed. B. Efron, "Bootstrap methods:
            another look at the jackknife", Ann. Statist. 7 (1979) 1-26.
"""

import math

import numpy as np

DB_LIMIT = 99.9
MAX_BINS = 40
DRAWS = 1000
_SEED = 20260101
# The 97.5th percentile of the normal distribution.
_Z = 1.959963984540054
_PERCENTILES = (2.5, 97.5)
# What fits into a core's cache is drawn faster.
_DRAWN_AT_ONCE = 1 << 16
# A bin is at least this part of the greatest value, so that six digits tell its edges apart.
_FINEST_BITS = 15
_LEAST_EXPONENT = -60


def rounded(value):
    """Return a number with six significant digits; None for what is no finite number."""
    return float("{:.6g}".format(float(value))) if value is not None and math.isfinite(value) else None


def wilson(count, of):
    """Return the two ends of the interval for `count` hits of `of` samples, as they are."""
    z2 = _Z * _Z
    centre = (2 * count + z2) / (2 * (of + z2))
    half = _Z * math.sqrt(z2 + 4 * count * (of - count) / float(of)) / (2 * (of + z2))
    # Rounding must not leave an end inside a share of nought or one.
    return (0.0 if count == 0 else centre - half), (1.0 if count == of else centre + half)


def share(count, of):
    """Return a share with its interval, None where it is one of no samples."""
    if not of:
        return None
    low, high = wilson(count, of)
    result = {"count": int(count), "of": int(of), "value": rounded(count / float(of))}
    result.update(low=rounded(low), high=rounded(high))
    return result


def newcombe(both, first, second, neither):
    """Return first share less second share, and the two ends of its interval.

    Args:
        both: samples that count for both shares; `first`, `second`: for one of them only; `neither`: for none.
    """
    of = float(both + first + second + neither)
    one, two = (both + first) / of, (both + second) / of
    low_one, high_one = wilson(both + first, of)
    low_two, high_two = wilson(both + second, of)
    margins = (both + first) * (second + neither) * (both + second) * (first + neither)
    product = both * neither - first * second
    if product > 0:
        product = max(product - of / 2, 0)
    phi = product / math.sqrt(margins) if margins else 0.0
    below = _added(one - low_one, high_two - two, phi)
    above = _added(high_one - one, two - low_two, phi)
    return one - two, one - two - below, one - two + above


def _added(first, second, phi):
    return math.sqrt(max(0.0, first * first - 2 * phi * first * second + second * second))


def drop(float_right, built_right):
    """Return how much smaller the share of True is in the second of two arrays over the same samples.

    None where there are no samples.
    """
    if not len(float_right):
        return None
    both, first = int((float_right & built_right).sum()), int((float_right & ~built_right).sum())
    second = int((built_right & ~float_right).sum())
    value, low, high = newcombe(both, first, second, len(float_right) - both - first - second)
    return {"value": rounded(value), "low": rounded(low), "high": rounded(high)}


def sqnr_db(signal, noise):
    """Return signal power over noise power in dB, arrays or numbers, at most 99.9 either way."""
    signal, noise = np.asarray(signal, dtype=np.float64), np.asarray(noise, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = 10 * (np.log10(signal) - np.log10(noise))
    ratio = np.where(noise > 0, ratio, DB_LIMIT)
    return np.clip(ratio, -DB_LIMIT, DB_LIMIT)


def mean(sums, counts):
    """Return sum over count."""
    return np.asarray(sums, dtype=np.float64) / np.asarray(counts, dtype=np.float64)


def bootstrapped(figures):
    """Return each figure with its interval, all of them from the same draws; None where there are no samples.

    Args:
        figures: by name a function of two sums over all samples (arrays of the same length), and these two as one value
            per sample. Of one sample there is a value, and no interval.
    """
    columns = [column for _, *both in figures.values() for column in both]
    count = len(columns[0])
    if not count:
        return dict.fromkeys(figures)
    values = [rounded(function(above.sum(), below.sum())) for function, above, below in figures.values()]
    if count == 1:
        return {name: {"value": value, "low": None, "high": None} for name, value in zip(figures, values)}
    sums = _drawn_sums(columns)
    result = {}
    for number, (name, (function, _, _)) in enumerate(figures.items()):
        low, high = np.percentile(function(sums[2 * number], sums[2 * number + 1]), _PERCENTILES)
        result[name] = {"value": values[number], "low": rounded(low), "high": rounded(high)}
    return result


def _drawn_sums(columns):
    """Return for each column its sum over the samples of each draw."""
    count = len(columns[0])
    random = np.random.RandomState(_SEED)
    # Small integers are drawn several times as fast as large ones.
    dtype = np.uint16 if count <= 1 << 16 else np.uint32
    sums = [[] for _ in columns]
    left = DRAWS
    while left:
        draws = min(left, max(1, _DRAWN_AT_ONCE // count))
        drawn = random.randint(0, count, (draws, count), dtype=dtype).astype(np.intp)
        for column, known in zip(columns, sums):
            known.append(column.take(drawn).sum(axis=1))
        left -= draws
    return [np.concatenate(known) for known in sums]


class Histogram:
    """Counts of values that come a few at a time, in at most 40 bins.

    A bin is a power of two wide and begins at a multiple of its width: the smallest for which the values fit. So the
    result depends on the values alone, not on how they came. Several series share the bins.
    """

    def __init__(self, series):
        self._low = self._high = None
        self._exponent = None
        self._first = 0
        self._counts = [np.zeros(0, dtype=np.int64) for _ in range(series)]

    def add(self, *series):
        """Count finite values; one array per series."""
        filled = [values for values in series if values.size]
        if not filled:
            return
        low, high = min(float(each.min()) for each in filled), max(float(each.max()) for each in filled)
        self._low = low if self._low is None else min(self._low, low)
        self._high = high if self._high is None else max(self._high, high)
        self._fit(*_bins(self._low, self._high))
        width = math.ldexp(1.0, self._exponent)
        for number, values in enumerate(series):
            bins = np.floor(values.ravel() / width).astype(np.int64) - self._first
            self._counts[number] += np.bincount(bins, minlength=len(self._counts[number]))

    def _fit(self, exponent, first, bins):
        """Give the counts the width 2 ** exponent, and room for `bins` from number `first` on."""
        grown = []
        for counts in self._counts:
            room = np.zeros(bins, dtype=np.int64)
            if len(counts):
                numbers = (np.arange(len(counts)) + self._first) >> (exponent - self._exponent)
                kept = counts > 0
                np.add.at(room, numbers[kept] - first, counts[kept])
            grown.append(room)
        self._exponent, self._first, self._counts = exponent, first, grown

    def result(self):
        """Return the edges, one more than there are bins, and the counts of each series."""
        if self._exponent is None:
            return [], [[] for _ in self._counts]
        # Zeros alone fit into any bin; one that can be told apart reads better.
        width = math.ldexp(1.0, self._exponent) if self._low or self._high else 1.0
        bins = len(self._counts[0])
        edges = [rounded((self._first + number) * width) for number in range(bins + 1)]
        return edges, [[int(count) for count in counts] for counts in self._counts]


def _bins(low, high):
    """Return the exponent of the width, the number of the first bin and how many there are."""
    greatest = max(abs(low), abs(high))
    exponent = max(_LEAST_EXPONENT, math.frexp(greatest)[1] - 1 - _FINEST_BITS) if greatest else _LEAST_EXPONENT
    while True:
        width = math.ldexp(1.0, exponent)
        first, last = math.floor(low / width), math.floor(high / width)
        if last - first < MAX_BINS:
            return exponent, first, last - first + 1
        exponent += 1
