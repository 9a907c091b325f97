"""The demo's contacts."""

from pathlib import Path

from caravan.demo.contacts import write_many, write_seed
from caravan.intake.reading import Limits, read_contacts
from caravan.settings import read_settings


def test_what_the_demo_expects_is_what_reading_makes_of_its_file(tmp_path: Path) -> None:
    made = write_many(tmp_path / "many.ndjson", 2_000)
    (tmp_path / "scratch").mkdir()
    receipt = read_contacts(made.path, tmp_path / "scratch", Limits.from_settings(read_settings()))
    assert (receipt.lines, receipt.entered) == (made.lines, made.entered) == (2_000, 1_980)
    assert dict(receipt.rejected) == dict(made.rejected)
    assert len(made.rejected) == 7


def test_the_seed_file_has_the_three_of_the_protocols_page(tmp_path: Path) -> None:
    made = write_seed(tmp_path / "seed.ndjson")
    assert (made.entered, len(made.recipients)) == (3, 3)
    assert '"firstname": "Aretha"' in made.path.read_text()
