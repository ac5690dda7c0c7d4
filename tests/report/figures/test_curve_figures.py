import matplotlib as mpl
from matplotlib.text import Text

from pipeline.report import tables
from pipeline.report.figures import curve_figures, drawing
from pipeline.statistics.schema import FittedCurve
from pipeline.verdict.rule import recommend
from tests.support.example import comparison


def test_a_fitted_law_is_drawn_on_beyond_the_data(three):
    law = FittedCurve(images=(10, 300), low=(0.5, 0.6), middle=(0.6, 0.7), high=(0.7, 0.8))
    longer = three
    for name in three.comparison.strategies:
        longer = longer.changed(name, law=law)
    with_law, without = (drawing.svg(curve_figures.learning_curves(c.comparison)) for c in (longer, three))
    assert (with_law.count("fill-opacity: 0.07") >= 6) > ("fill-opacity: 0.07" in without)  # 3 bands, 2 widths
    assert tables.law_sentences(longer.comparison)[0] == (
        "Extrapolated, strategy-0 would reach 70.0 % (60.0 to 80.0 %) with 300 training images"
    )


def test_few_crossings_are_drawn_and_the_recommended_ones_come_first(seven):
    found, recommended = seven[0], recommend(seven[0])
    own, others = tables.crossings(found, recommended)
    assert len(own) == 6
    assert len(others) == 15
    assert all(recommended in (c.a, c.b) for c in own)
    with mpl.rc_context(drawing.STYLE):
        figure = seven[1]["learning_curves"].draw(drawing.WIDE)
    drawn = [text for text in figure.findobj(Text) if "\N{MULTIPLICATION SIGN}" in text.get_text()]
    assert len(drawn) == curve_figures.MOST_CROSSINGS
    small = comparison()
    assert tables.crossings(small, "frozen") == (list(small.crossovers), [])
