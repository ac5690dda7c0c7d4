"""What results/verdict.json says to whoever asks for the recommended strategy only."""

from pydantic import ConfigDict

from pipeline.common.documents import VersionedDocument


class Recommendation(VersionedDocument):
    """The strategy recommended under the user's constraints; the verdict adds its reasons, which are ignored here."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    schema_version: int = 2  # of verdict.json
    recommended: str | None  # None: no strategy meets the constraints
    admissible: tuple[str, ...]  # by name: strategies whose value, or mean, lies within every limit
