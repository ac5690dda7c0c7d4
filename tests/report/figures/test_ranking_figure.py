from pipeline.report.figures import ranking_figure
from pipeline.verdict.sentences.measured import ranking_sentence
from tests.support.example import comparison


def test_the_ranking_is_put_in_words_and_not_drawn_of_one_backbone(seven):
    picture = seven[1]["ranking"]
    for row in seven[0].ranking.backbones:
        assert f"{row.backbone}: LogME {row.scores['log_me']:.3f}" in picture.text
    assert ranking_sentence(seven[0].ranking) in picture.text
    assert ranking_figure.ranking(comparison()) is None
