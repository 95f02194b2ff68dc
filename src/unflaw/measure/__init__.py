"""The formulas: arrays in, arrays out. No models, no files, no printing."""

from unflaw.measure._bootstrap import bootstrap_interval, difference_interval, paired_difference, ratio_interval

__all__ = ["bootstrap_interval", "difference_interval", "paired_difference", "ratio_interval"]
