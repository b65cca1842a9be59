"""Metrics of localization as `evaluate` modules.

Every file stands alone: import its class, or give its path to `evaluate.load`, on- or offline.
"""
