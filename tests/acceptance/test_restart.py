"""A batch started again over HTTP, with a kill -9 of everything while it is being read."""

from collections import Counter
from pathlib import Path

from tests.acceptance.conftest import until, up

JOURNEY = """
journey: 1
name: Odd and even
steps:
  - id: sort
    split:
      - if: attributeName = 'yes'
        to: odd
      - else: even
  - id: odd
    exit: {}
  - id: even
    exit: {}
"""
COUNT = 300_000


def test_a_restart_that_is_killed_in_the_middle_loses_no_contact_and_doubles_none(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "contacts.ndjson"
    with file.open("w") as sink:
        for number in range(COUNT):
            answer = "yes" if number % 2 else "no"
            sink.write(f'{{"id": {number}, "properties": {{"n": {number}{"0" * 20}, "attributeName": "{answer}"}}}}\n')
    with up(folder) as first:
        told = dict(first.told)
        with first.client() as client:
            client.publish(1, JOURNEY)
            batch = client.start_file(1, file).batch
            until(lambda: client.batch(batch).ended, 120)
            again = client.restart(batch, "passed", "odd", key="again")
            assert again.state == "reading"
            until(lambda: list(folder.rglob("restart-*.parquet")), 60, 0.005)
            assert client.batch(again.id).state == "reading"
        first.kill_9()
    with up(folder) as second, second.client(told) as client:
        assert client.restart(batch, "passed", "odd", key="again").id == again.id
        found = until(lambda: (each := client.batch(again.id)).ended and each, 120)
        entered = Counter(line.contact for line in client.journal(again.id, step="sort"))
    assert (found.state, found.ledger.lines, found.ledger.entered) == ("completed", COUNT // 2, COUNT // 2)
    assert set(entered.values()) == {1}
    assert set(entered) == {str(number) for number in range(1, COUNT, 2)}
    assert [step.outcomes for step in found.ledger.steps] == [{"passed": COUNT // 2}, {"passed": COUNT // 2}, {}]
    assert found.restart_of is not None
    assert found.restart_of.batch == batch
