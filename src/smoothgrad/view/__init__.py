"""Maps to pictures. Maps arrive raw and signed and are never changed; every display choice is made here.

    look.py        Look: the choices (channels, sign, cap, times input, overlay, one scale for a row)
    planes.py      a map (C, H, W) to one value per pixel, its standard error, and the limit of its scale
    colour.py      one value per pixel to colours: palettes, overlay
    pixels.py      colours to PNG files and to data URIs for pages
    panels.py      what a figure can show: pictures, maps, features, signals
    sheet.py       a page measured in inches, and text that fits
    figure.py      panels in a grid, with their scales
    screen.py      a figure before a person's eyes

Import from these modules; none of them imports matplotlib or Pillow before it has something to show.
"""
