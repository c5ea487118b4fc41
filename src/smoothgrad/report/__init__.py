"""A comparison as one HTML file that needs nothing else: no network, no script, no other file.

words.py       numbers and judgements in words: how sure a map is, what it explains
rounding.py    to how many decimals a mean is told
pictures.py    what an <img> needs: PNGs inside the page, their colour bars, what they say to those who do not see them
repeat.py      the few lines of Python that give the same map again
content.py     a comparison to what the page says, as plain values
page.py        these values through page.html.jinja and page.css to a file

and an experiment likewise: experiment.py, experiment_means.py (its table in short), experiment_repeat.py, experiment.html.jinja
"""
