"""The formulas: arrays in, arrays out. No models, no files, no printing."""

from unflaw.measure._bootstrap import bootstrap_interval, difference_interval, paired_difference, ratio_interval
from unflaw.measure._copies import band_keys, jaccard, normalise, shingles, text_hash
from unflaw.measure._density import kernel_density
from unflaw.measure._intervals import auc_interval, wilson_interval
from unflaw.measure._mining import mine_template
from unflaw.measure._neighbours import Overlap, neighbour_overlap, squared_distances
from unflaw.measure._template import Phrase, Reading, Template, Tokens, tokenise
from unflaw.measure._tokens import (
    Divergence,
    adjusted_divergence,
    count_peaks,
    frequency_density,
    jensen_shannon_bits,
    log_odds,
)
from unflaw.measure._twosample import (
    ClassifierTest,
    KernelTest,
    auc,
    classifier_test,
    kernel_test,
    linear_probability,
)

__all__ = [
    "ClassifierTest",
    "Divergence",
    "KernelTest",
    "Overlap",
    "Phrase",
    "Reading",
    "Template",
    "Tokens",
    "adjusted_divergence",
    "auc",
    "auc_interval",
    "band_keys",
    "bootstrap_interval",
    "classifier_test",
    "count_peaks",
    "difference_interval",
    "frequency_density",
    "jaccard",
    "jensen_shannon_bits",
    "kernel_density",
    "kernel_test",
    "linear_probability",
    "log_odds",
    "mine_template",
    "neighbour_overlap",
    "normalise",
    "paired_difference",
    "ratio_interval",
    "shingles",
    "squared_distances",
    "text_hash",
    "tokenise",
    "wilson_interval",
]
