"""The formulas: arrays in, arrays out. No models, no files, no printing."""

from unflaw.measure._alike import nearest_original, repeats_of_earlier, strangers_nearer
from unflaw.measure._arithmetic import Equation, equations
from unflaw.measure._bootstrap import bootstrap_interval, difference_interval, paired_difference, ratio_interval
from unflaw.measure._copies import Shingles, band_keys, normalise, text_hash, words_of
from unflaw.measure._density import kernel_density
from unflaw.measure._diversity import (
    Words,
    chamfer,
    compression_ratio,
    distinct,
    nearest_distance,
    remote_clique,
    rouge_l,
    self_bleu,
    self_repetition,
    vendi_score,
)
from unflaw.measure._grounding import passages_nearer
from unflaw.measure._intervals import auc_interval, difference_of_shares, difference_within, wilson_interval
from unflaw.measure._labels import label_issues, out_of_sample, total_variation, uncertainty
from unflaw.measure._languages import language, languages
from unflaw.measure._mining import mine_template
from unflaw.measure._neighbours import Overlap, neighbour_overlap, squared_distances
from unflaw.measure._patterns import template_rate, word_classes
from unflaw.measure._secrets import Found, find_contacts, find_secrets, mask
from unflaw.measure._subjectivity import (
    Tone,
    agreement,
    chance_plurality,
    krippendorff_alpha,
    krippendorff_interval,
    label_counts,
    plurality_share,
    tone,
)
from unflaw.measure._template import Phrase, Reading, Template, Tokens, tokenise
from unflaw.measure._tokens import (
    Divergence,
    adjusted_divergence,
    count_peaks,
    frequency_density,
    jensen_shannon_bits,
    log_odds,
)
from unflaw.measure._toxicity import find_toxic
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
    "Equation",
    "Found",
    "KernelTest",
    "Overlap",
    "Phrase",
    "Reading",
    "Shingles",
    "Template",
    "Tokens",
    "Tone",
    "Words",
    "adjusted_divergence",
    "agreement",
    "auc",
    "auc_interval",
    "band_keys",
    "bootstrap_interval",
    "chamfer",
    "chance_plurality",
    "classifier_test",
    "compression_ratio",
    "count_peaks",
    "difference_interval",
    "difference_of_shares",
    "difference_within",
    "distinct",
    "equations",
    "find_contacts",
    "find_secrets",
    "find_toxic",
    "frequency_density",
    "jensen_shannon_bits",
    "kernel_density",
    "kernel_test",
    "krippendorff_alpha",
    "krippendorff_interval",
    "label_counts",
    "label_issues",
    "language",
    "languages",
    "linear_probability",
    "log_odds",
    "mask",
    "mine_template",
    "nearest_distance",
    "nearest_original",
    "neighbour_overlap",
    "normalise",
    "out_of_sample",
    "paired_difference",
    "passages_nearer",
    "plurality_share",
    "ratio_interval",
    "remote_clique",
    "repeats_of_earlier",
    "rouge_l",
    "self_bleu",
    "self_repetition",
    "squared_distances",
    "strangers_nearer",
    "template_rate",
    "text_hash",
    "tokenise",
    "tone",
    "total_variation",
    "uncertainty",
    "vendi_score",
    "wilson_interval",
    "word_classes",
    "words_of",
]
