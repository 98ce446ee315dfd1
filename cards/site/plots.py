from __future__ import annotations


def plots_of(run, stem):
    return [], {}
