"""Figures of cells, crossbars and fits, drawn with Matplotlib.

Functions that draw one panel take and return ``ax``; without it, they draw on a new pyplot figure.
Those that draw several take ``axes`` (a sequence, or the array of ``plt.subplots``) and return the
figure; without them, they draw a figure that pyplot does not know, and notebooks show it when it is
the last value of a cell. None of them calls ``plt.show``.
"""
